// Loads the original handler as the runtime does. An error is the one that the runtime would get or throw without snapback, so it reports
// the same.

// Imports of the built-in modules would take 2 ms at the start. Before Node.js 20.16, there is no other way.
const { createRequire } = process.getBuiltinModule?.('node:module') ?? (await import('node:module'))
const builtIn = createRequire(import.meta.url)
const { existsSync } = builtIn('node:fs')
const { basename, dirname, join, resolve } = builtIn('node:path')

// The runtime's program, in whose name a missing module is reported.
const require = process.argv[1] ? createRequire(resolve(process.argv[1])) : builtIn

// The runtimes before Node.js 24 load CommonJS with require, and find a handler in a value of any type, but not in
// the default export.
const REQUIRES = Number(process.versions.node.split('.')[0]) < 24

// Returns the handler and the module that it is from.
export async function load(name) {
  if (name.includes('..')) {
    throw failure('MalformedHandlerName', `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`)
  }
  const last = basename(name)
  const [, file, path] = last.match(/^([^.]*)\.(.*)$/) ?? []
  if (file === undefined) throw failure('MalformedHandlerName', 'Bad handler')
  const start = name.slice(0, name.indexOf(last))
  const folder = REQUIRES ? start : start.replace(/\/$/, '')
  const module = await loadModule(process.env.LAMBDA_TASK_ROOT ?? process.cwd(), folder, file)
  const handler = find(path, module) || (!REQUIRES && find(`default.${path}`, module))
  if (!handler) throw failure('HandlerNotFound', `${name} is undefined or not exported`)
  if (typeof handler !== 'function') throw failure('HandlerNotFound', `${name} is not a function`)
  return { handler, module }
}

async function loadModule(root, folder, file) {
  const path = resolve(root, folder, file)
  for (const extension of ['', '.js', '.mjs', '.cjs']) {
    if (!existsSync(path + extension)) continue
    return REQUIRES && isCommonJs(path, extension) ? require(path + extension) : import(path + extension)
  }
  return require(require.resolve(file, { paths: [root, REQUIRES ? folder : join(root, folder)] }))
}

function isCommonJs(path, extension) {
  return extension === '.js' ? !isInModulePackage(dirname(path)) : extension !== '.mjs'
}

// Whether the nearest package.json makes the .js files of a folder ES modules.
function isInModulePackage(folder) {
  const file = join(folder, 'package.json')
  if (existsSync(file)) {
    try {
      return JSON.parse(builtIn('node:fs').readFileSync(file)).type === 'module'
    } catch {
      return false
    }
  }
  const above = dirname(folder)
  return above !== folder && !folder.endsWith('/node_modules') && isInModulePackage(above)
}

function find(path, module) {
  const holds = (value) => value && (REQUIRES || typeof value === 'object')
  return path.split('.').reduce((value, key) => (holds(value) ? value[key] : undefined), module)
}

function failure(type, message) {
  return Object.assign(new Error(message), { name: `Runtime.${type}` })
}
