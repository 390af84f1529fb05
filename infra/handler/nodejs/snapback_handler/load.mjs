// Loads the original handler as the runtime does. An error is the one that the runtime would get or throw without snapback, so it reports
// the same.

import { createRequire } from 'node:module'

// Imports of these modules would take 2 ms at the start.
const builtIn = createRequire(import.meta.url)
const { existsSync } = builtIn('node:fs')
const { basename, join, resolve } = builtIn('node:path')

// The runtime's program, in whose name a missing module is reported.
const require = process.argv[1] ? createRequire(resolve(process.argv[1])) : builtIn

// Returns the handler and the module that it is from.
export async function load(name) {
  if (name.includes('..')) {
    throw failure('MalformedHandlerName', `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`)
  }
  const last = basename(name)
  const [, file, path] = last.match(/^([^.]*)\.(.*)$/) ?? []
  if (file === undefined) throw failure('MalformedHandlerName', 'Bad handler')
  const folder = name.slice(0, name.indexOf(last)).replace(/\/$/, '')
  const module = await loadModule(process.env.LAMBDA_TASK_ROOT ?? process.cwd(), folder, file)
  const handler = find(path, module) ?? find(path, module?.default)
  if (!handler) throw failure('HandlerNotFound', `${name} is undefined or not exported`)
  if (typeof handler !== 'function') throw failure('HandlerNotFound', `${name} is not a function`)
  return { handler, module }
}

async function loadModule(root, folder, file) {
  const path = resolve(root, folder, file)
  for (const extension of ['', '.js', '.mjs', '.cjs']) {
    if (existsSync(path + extension)) return import(path + extension)
  }
  return require(require.resolve(file, { paths: [root, join(root, folder)] }))
}

function find(path, module) {
  return path.split('.').reduce((value, key) => (value && typeof value === 'object' ? value[key] : undefined), module)
}

function failure(type, message) {
  return Object.assign(new Error(message), { name: `Runtime.${type}` })
}
