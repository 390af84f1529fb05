// Conditions on an event: a path and one operator, as in `match` of the proxy's faults.

const MAX_STEPS = 32
const MAX_BYTES = 256
const MAX_VALUES = 64
const MAX_MATCHED_BYTES = 16 * 1024
const OPERATORS = ['equals', 'exists', 'startsWith', 'regex', 'in']
// The name at the start or after a dot, and a position or a quoted name in brackets.
const STEP = /\.([^.[\]]+)|\[(0|[1-9][0-9]*)\]|\['([^'\\]*)'\]|\["([^"\\]*)"\]/y
const POSITION = /^(0|[1-9][0-9]*)$/
const ABSENT = Symbol('absent')

// Returns the names and positions of a path, header names in lower case.
export function stepsOf(path) {
  if (typeof path !== 'string' || Buffer.byteLength(path) > MAX_BYTES) throw new Error('`path` is not a path to one place in the event')
  const steps = path.startsWith('/')
    ? path.slice(1).split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    : plainSteps(path)
  if (steps.length > MAX_STEPS) throw new Error(`\`path\` has more than ${MAX_STEPS} steps`)
  return steps.map((step, at) => (at > 0 && holdsHeaders(steps[at - 1]) ? lower(step) : step))
}

function plainSteps(path) {
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

const holdsHeaders = (name) => name === 'headers' || name === 'multiValueHeaders'

// As the proxy does: ASCII letters only.
const lower = (text) => text.replace(/[A-Z]/g, (c) => c.toLowerCase())

// Returns a function that tells whether the condition holds on an event.
export function compiled(condition) {
  if (!isObject(condition) || !('path' in condition)) throw new Error('a condition has no `path`')
  const unknown = Object.keys(condition).find((name) => name !== 'path' && !OPERATORS.includes(name))
  if (unknown !== undefined) throw new Error(`unknown field \`${unknown}\` in a condition`)
  const steps = stepsOf(condition.path)
  // A null is a value for `equals` only.
  const given = OPERATORS.filter((name) => name in condition && (name === 'equals' || condition[name] !== null))
  if (given.length !== 1) throw new Error(`the condition on \`${condition.path.slice(0, 60)}\` does not have exactly one operator`)
  const holds = operator(given[0], condition[given[0]])
  return (event) => holds(find(event, steps))
}

function operator(name, wanted) {
  switch (name) {
    case 'equals':
      checkScalar(wanted)
      return (value) => value === wanted
    case 'in':
      if (!Array.isArray(wanted) || wanted.length < 1 || wanted.length > MAX_VALUES) {
        throw new Error(`\`in\` is not a list of 1 to ${MAX_VALUES} values`)
      }
      wanted.forEach(checkScalar)
      return (value) => wanted.includes(value)
    case 'exists':
      if (typeof wanted !== 'boolean') throw new Error('`exists` is not true or false')
      return (value) => (value !== ABSENT && value !== null) === wanted
    default:
      if (typeof wanted !== 'string') throw new Error(`\`${name}\` is not text`)
      return name === 'regex' ? matcher(wanted) : (value) => written(value)?.startsWith(wanted) ?? false
  }
}

// Returns a function that tells whether the pattern matches in the first 16 KB of a text.
function matcher(pattern) {
  if (Buffer.byteLength(pattern) > MAX_BYTES) throw new Error(`the pattern is longer than ${MAX_BYTES} bytes`)
  let regex
  try {
    regex = new RegExp(asInTheProxy(pattern), 'u')
  } catch (error) {
    throw new Error(`the pattern cannot be compiled: ${error.message}`)
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

function checkScalar(value) {
  if (typeof value === 'object' && value !== null) throw new Error('a condition compares with text, a number, true, false or null')
}

function find(value, steps) {
  let isHeaders = false
  for (const step of steps) {
    if (Array.isArray(value)) {
      value = POSITION.test(step) && Number(step) < value.length ? value[Number(step)] : ABSENT
    } else {
      value = isObject(value) ? member(value, step, isHeaders) : ABSENT
    }
    if (value === ABSENT) return ABSENT
    isHeaders = holdsHeaders(step)
  }
  return value
}

// Returns the member with this name. Header names match in any case, and the last of several counts.
function member(object, name, isHeaders) {
  const own = isHeaders ? Object.keys(object).findLast((each) => lower(each) === name) : name
  return own !== undefined && Object.hasOwn(object, own) ? object[own] : ABSENT
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

// Returns the text, or a number, true or false as JSON writes it; null for anything else.
function written(value) {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? JSON.stringify(value) : null
}
