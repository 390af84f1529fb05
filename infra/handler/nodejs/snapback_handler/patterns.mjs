// Patterns, and the paths that are written as a JSONPath or a JSON Pointer. Loaded only for a condition that has one.

const MAX_BYTES = 256
const MAX_MATCHED_BYTES = 16 * 1024
// The name at the start or after a dot, and a position or a quoted name in brackets.
const STEP = /\.([^.[\]]+)|\[(0|[1-9][0-9]*)\]|\['([^'\\]*)'\]|\["([^"\\]*)"\]/y

export function stepsOfPath(path) {
  if (path.startsWith('/')) return path.slice(1).split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const fromRoot = path === '$' || path.startsWith('$.') || path.startsWith('$[')
  const rest = fromRoot ? path.slice(1) : path.startsWith('[') ? path : `.${path}`
  const steps = []
  for (STEP.lastIndex = 0; STEP.lastIndex < rest.length; ) {
    const found = STEP.exec(rest)
    if (!found || found[1] === '*') {
      throw new Error(`\`${path.slice(0, 60)}\` is not a path to one place in the event`)
    }
    steps.push(found.slice(1).find((step) => step !== undefined))
  }
  return steps
}

// Returns a function that tells whether the pattern matches in the first 16 KB of a text.
export function matcher(pattern, written) {
  if (Buffer.byteLength(pattern) > MAX_BYTES) throw new Error(`the pattern is longer than ${MAX_BYTES} bytes`)
  let regex
  try {
    regex = new RegExp(asInTheProxy(pattern), 'u')
  } catch (error) {
    // The message starts with the pattern, which the log must not contain.
    throw new Error(`the pattern cannot be compiled: ${error.message.split(': ').at(-1)}`)
  }
  const refersToTheEnd = pattern.includes('$')
  return (value) => {
    const text = written(value)
    if (text === null) return false
    const seen = beginning(text)
    return (seen.length === text.length || !refersToTheEnd) && regex.test(seen)
  }
}

// Returns the pattern with the meaning that it has in the proxy: a dot is anything but a line feed, white space is of ASCII, and an
// escaped punctuation mark is itself.
function asInTheProxy(pattern) {
  let inClass = false
  return pattern.replace(/\\[\s\S]|[\s\S]/gu, (part) => {
    const [first, second] = part
    if (first !== '\\') {
      inClass = first === '[' || (inClass && first !== ']')
      return first === '.' && !inClass ? '[^\\n]' : part
    }
    if (second === 's') return inClass ? '\\t\\n\\v\\f\\r ' : '[\\t\\n\\v\\f\\r ]'
    if (second === 'S' && !inClass) return '[^\\t\\n\\v\\f\\r ]'
    return /[!"#%&',:;<=>@_`~]/.test(second ?? '') || (second === '-' && !inClass) ? second : part
  })
}

function beginning(text) {
  if (text.length * 3 <= MAX_MATCHED_BYTES) return text
  const bytes = Buffer.from(text).subarray(0, MAX_MATCHED_BYTES + 1)
  if (bytes.length <= MAX_MATCHED_BYTES) return text
  let end = MAX_MATCHED_BYTES
  // Only whole characters.
  while ((bytes[end] & 0xc0) === 0x80) end -= 1
  return bytes.subarray(0, end).toString()
}

