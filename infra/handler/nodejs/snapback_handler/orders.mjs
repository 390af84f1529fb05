// The orders that the control plane writes for the handler, in the proxy's wire format (src/model/invocation/proxy_config.rs).
//
// A fault with anything unknown is ignored as a whole, because the unknown part could be a condition.

import { parse as parseJson } from './globals.mjs'

export const FAULTS_VARIABLE = 'SNAPBACK_HANDLER_FAULTS'
export const ORIGINAL_VARIABLE = 'SNAPBACK_HANDLER'
const MAX_FAULTS = 20
const MAX_CONDITIONS = 10
const MAX_MS = 900_000
const MAX_TYPE = 128
const MAX_MESSAGE = 1024
const MAX_U32 = 2 ** 32 - 1
const MAX_U64 = 2 ** 64
// A percentage has four decimals.
const PARTS = 10_000
const TYPE = /^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*$/
const QUALIFIER = /^(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9_-]{1,128})$/
const EXCHANGED = { '"': "'", "'": '"', '\\': '~', '~': '\\' }

// Returns the orders, with what is unknown in them. Throws if the text contains no orders.
export async function parse(text) {
  const json = text.startsWith("{'") ? text.replace(/["'\\~]/g, (c) => EXCHANGED[c]) : text
  const { until, experiment, run, seed = null, faults: listed, ...unknown } = objectOf(readJson(json, 'it'), 'it')
  whole(until, 0, MAX_U64, 'until')
  textOf(experiment, 'experiment')
  textOf(run, 'run')
  if (seed !== null) whole(seed, 0, MAX_U32, 'seed')
  if (!Array.isArray(listed)) throw new Error('`faults` is not a list')
  if (listed.length > MAX_FAULTS) throw new Error(`${listed.length} faults are more than the limit of ${MAX_FAULTS}`)
  const faults = []
  const ignored = Object.keys(unknown).map((name) => `\`${name}\` is unknown`)
  for (const [at, each] of listed.entries()) {
    try {
      faults.push(await readFault(each))
    } catch (error) {
      ignored.push(`faults[${at}]: ${error.message}`)
    }
  }
  return { until, experiment, run, seed, faults, ignored }
}

async function readFault(written) {
  const entries = Object.entries(objectOf(written, 'it'))
  if (entries.length !== 1) throw new Error('does not have exactly one name')
  const [[kind, given]] = entries
  if (!Object.hasOwn(SETTINGS, kind)) throw new Error(`\`${kind}\` is unknown`)
  const { when = 'before', percentage = 100, match = [], qualifier = null, ...own } = objectOf(given, kind)
  if (when !== 'before' && when !== 'after') throw new Error('`when` is neither before nor after')
  const after = when === 'after'
  const settings = SETTINGS[kind](own, after)
  return { kind, after, ...settings, share: share(percentage), conditions: await conditions(match), qualifier: qualified(qualifier) }
}

export function share(percentage) {
  if (typeof percentage !== 'number' || !(percentage >= 0 && percentage <= 100)) {
    throw new Error('`percentage` is not a number from 0 to 100')
  }
  return Math.round(percentage * PARTS)
}

async function conditions(written) {
  if (!Array.isArray(written)) throw new Error('`match` is not a list')
  if (written.length > MAX_CONDITIONS) throw new Error(`\`match\` has more than ${MAX_CONDITIONS} conditions`)
  if (written.length === 0) return []
  const { compiled } = await import('./conditions.mjs')
  return Promise.all(written.map(compiled))
}

function qualified(name) {
  if (name !== null && !QUALIFIER.test(textOf(name, 'qualifier'))) throw new Error('`qualifier` is not an alias or a version')
  return name
}

const SETTINGS = {
  exception({ type = null, message = 'snapback has injected this error', ...unknown }) {
    nothing(unknown)
    if (type !== null && (textOf(type, 'type').length > MAX_TYPE || !TYPE.test(type))) throw new Error('`type` is not the name of a class')
    if ([...textOf(message, 'message')].length > MAX_MESSAGE) throw new Error(`\`message\` is longer than ${MAX_MESSAGE} characters`)
    return { type, message }
  },

  latency({ delayMs = null, minMs = null, maxMs = null, ...unknown }) {
    nothing(unknown)
    Object.entries({ delayMs, minMs, maxMs }).forEach(([name, ms]) => ms === null || whole(ms, 0, MAX_MS, name))
    if (delayMs !== null && minMs === null && maxMs === null) return { least: delayMs, most: delayMs }
    if (delayMs === null && minMs !== null && maxMs !== null && minMs <= maxMs) return { least: minMs, most: maxMs }
    throw new Error('does not have exactly one delay')
  },

  response({ statusCode = null, headers = {}, body = null, raw = null, ...unknown }, after) {
    nothing(unknown)
    if (statusCode !== null) whole(statusCode, 100, 599, 'statusCode')
    Object.values(objectOf(headers, 'headers')).forEach((value) => textOf(value, 'headers'))
    if (body !== null) textOf(body, 'body')
    if (raw !== null) readJson(textOf(raw, 'raw'), '`raw`')
    const isHttp = statusCode !== null || Object.keys(headers).length > 0 || body !== null
    if (isHttp === (raw !== null)) throw new Error('has not exactly one form of a response')
    if (isHttp && statusCode === null && !after) throw new Error('has no `statusCode`')
    return { statusCode, headers, body, raw }
  },
}

// The parser's message quotes the text, which the log must not contain.
function readJson(text, name) {
  try {
    return parseJson(text)
  } catch {
    throw new Error(`${name} is not JSON`)
  }
}

function nothing(unknown) {
  const [name] = Object.keys(unknown)
  if (name !== undefined) throw new Error(`unknown field \`${name}\``)
}

function objectOf(value, name) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`\`${name}\` is not an object`)
  return value
}

function textOf(value, name) {
  if (typeof value !== 'string') throw new Error(`\`${name}\` is not text`)
  return value
}

function whole(value, least, most, name) {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new Error(`\`${name}\` is not a whole number from ${least} to ${most}`)
  }
  return value
}
