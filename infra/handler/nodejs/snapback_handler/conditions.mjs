// Conditions on an event: a path and one operator, as in `match` of the proxy's faults. Patterns and other paths are in patterns.mjs.

import { stringify } from './globals.mjs'

const MAX_STEPS = 32
const MAX_BYTES = 256
const MAX_VALUES = 64
const OPERATORS = ['equals', 'exists', 'startsWith', 'regex', 'in']
const PLAIN = /^[^.$[\]*/]+(\.[^.$[\]*/]+)*$/
const POSITION = /^(0|[1-9][0-9]*)$/
const ABSENT = Symbol('absent')

// Returns the names and positions of a path, header names in lower case.
async function stepsOf(path) {
  if (typeof path !== 'string' || Buffer.byteLength(path) > MAX_BYTES) throw new Error('`path` is not a path to one place in the event')
  // Most paths are names with dots, and need no pattern.
  const isPlain = PLAIN.test(path)
  const steps = isPlain ? path.split('.') : (await import('./patterns.mjs')).stepsOfPath(path)
  if (steps.length > MAX_STEPS) throw new Error(`\`path\` has more than ${MAX_STEPS} steps`)
  return steps.map((step, at) => (at > 0 && holdsHeaders(steps[at - 1]) ? lower(step) : step))
}

const holdsHeaders = (name) => name === 'headers' || name === 'multiValueHeaders'

// As the proxy does: ASCII letters only.
const lower = (text) => text.replace(/[A-Z]/g, (c) => c.toLowerCase())

// Returns a function that tells whether the condition holds on an event.
export async function compiled(condition) {
  if (!isObject(condition) || !Object.hasOwn(condition, 'path')) throw new Error('a condition has no `path`')
  const unknown = Object.keys(condition).find((name) => name !== 'path' && !OPERATORS.includes(name))
  if (unknown !== undefined) throw new Error(`unknown field \`${unknown}\` in a condition`)
  const steps = await stepsOf(condition.path)
  // A null is a value for `equals` only.
  const given = OPERATORS.filter((name) => Object.hasOwn(condition, name) && (name === 'equals' || condition[name] !== null))
  if (given.length !== 1) throw new Error(`the condition on \`${condition.path.slice(0, 60)}\` does not have exactly one operator`)
  const holds = await operator(given[0], condition[given[0]])
  return (event) => holds(find(event, steps))
}

async function operator(name, wanted) {
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
      if (name === 'startsWith') return (value) => written(value)?.startsWith(wanted) ?? false
      return (await import('./patterns.mjs')).matcher(wanted, written)
  }
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
  return typeof value === 'number' || typeof value === 'boolean' ? stringify(value) : null
}
