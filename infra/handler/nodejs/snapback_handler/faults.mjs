// What happens to one invocation: in which order its faults take effect, and how. Loaded when the first fault is due.
//
// The order is the proxy's: delays before the handler; the first exception or response in its place; the handler; delays after it; the
// first exception after it; responses after it.

import { now, parse, setTimeout, stringify } from './globals.mjs'
import { line, metric } from './log.mjs'

// How often a wait reads the wall clock, which may jump where a timer does not.
const CLOCK_INTERVAL_MS = 1000

// A clock that does not jump. Fake timers replace performance.now, and not this one.
const monotonicMs = () => process.uptime() * 1000

// A stream of this type begins with the head of the response as JSON, and as many zero bytes.
const HTTP_RESPONSE = 'application/vnd.awslambda.http-integration-response'
const DELIMITER_BYTES = 8

// Injects the faults of one run.
export class Injector {
  constructor(original, module, orders, streams) {
    this.original = original
    this.module = module
    this.orders = orders
    this.streams = streams
    this.hasLogged = false
  }

  contextOf(parameters) {
    return parameters[this.streams ? 2 : 1]
  }

  remainingMs() {
    return Math.max(0, this.orders.until - now())
  }

  report(fault, parameters, delayMs = 0) {
    metric(this.orders, fault, delayMs, this.contextOf(parameters)?.awsRequestId)
  }

  // Calls the original with the faults that are due.
  async inject(due, self, parameters) {
    const delays = due.filter(({ fault }) => fault.kind === 'latency')
    const results = due.map(({ fault }) => fault).filter((fault) => fault.kind !== 'latency')
    await this.delay(delays.filter(({ fault }) => !fault.after), parameters)
    const instead = results.find((fault) => !fault.after)
    // The faults may have expired during the delays.
    if (instead && this.remainingMs() > 0) {
      this.report(instead.kind, parameters)
      if (instead.kind === 'exception') throw this.exception(instead)
      return this.streams ? stream(wholeResponse(instead), parameters[1]) : wholeResponse(instead)
    }
    return this.injectAfter(delays.filter(({ fault }) => fault.after), results.filter((fault) => fault.after), self, parameters)
  }

  async injectAfter(delays, results, self, parameters) {
    if (delays.length + results.length === 0) return passOn(this.original, self, parameters)
    if (this.streams) return this.injectIntoStream(delays, results, self, parameters)
    let outcome
    try {
      outcome = await call(this.original, self, parameters)
    } catch (error) {
      await this.endInvocation(delays, results, parameters)
      throw error
    }
    await this.endInvocation(delays, results, parameters)
    let { value } = outcome
    for (const fault of results) {
      if (fault.kind === 'response' && this.remainingMs() > 0) {
        this.report('response', parameters)
        value = merged(value, fault)
      }
    }
    return outcome.isCalledBack ? callBack(parameters, value) : value
  }

  // Injects before the end of the stream, which is the last that the handler can hold back: what it has written is on its way.
  async injectIntoStream(delays, results, self, parameters) {
    if (results.some((fault) => fault.kind === 'response')) this.logStream()
    const held = holdEnd(parameters[1], () => this.endInvocation(delays, results, parameters))
    try {
      await Promise.race([held.failure, Reflect.apply(this.original, self, parameters)])
    } catch (error) {
      // The handler has failed before the end.
      if (held.release()) await this.endInvocation(delays, results, parameters)
      throw error
    }
    // A handler may return before its stream ends, as with `source.pipe(stream)`.
    await Promise.race([held.failure, held.closed])
  }

  // Injects what takes effect after the handler, also after one that has failed.
  async endInvocation(delays, results, parameters) {
    await this.delay(delays, parameters)
    const fault = results.find((fault) => fault.kind === 'exception')
    if (fault && this.remainingMs() > 0) {
      this.report('exception', parameters)
      throw this.exception(fault)
    }
  }

  async delay(delays, parameters) {
    for (const { fault, roll } of delays) {
      const delayMs = Math.min(between(fault.least, fault.most, roll), this.remainingMs())
      if (this.remainingMs() === 0) return
      this.report('latency', parameters, delayMs)
      const end = monotonicMs() + delayMs
      while (this.remainingMs() > 0 && monotonicMs() < end) {
        const pause = Math.min(end - monotonicMs(), CLOCK_INTERVAL_MS, this.remainingMs())
        await new Promise((resolve) => setTimeout(resolve, Math.ceil(pause)))
      }
    }
  }

  logStream() {
    if (this.hasLogged) return
    this.hasLogged = true
    line('the handler streams its response, so a `response` after it is not injected; that of the proxy is')
  }

  // Creates an error of a class of the function or of JavaScript; an Error that tells why not.
  exception({ type, message }) {
    const Found = this.findClass(type ?? 'Error')
    let problem = 'neither the handler\'s module exports nor JavaScript has an error class with this name'
    if (Found) {
      try {
        const error = new Found(message)
        // The message is not the first parameter of an AggregateError.
        if (!error.message) error.message = message
        return error
      } catch (error) {
        problem = `it cannot be created from a message alone: ${error?.message}`
      }
    }
    return new Error(`${message} (snapback was to throw ${type}, but ${problem})`)
  }

  findClass(type) {
    const path = type.split('.')
    const places = [[this.module, path], [this.module, ['default', ...path]], [globalThis, path]]
    return places.map(([scope, names]) => errorClass(scope, names)).find(Boolean)
  }
}

// Returns the class of errors at a path; null without any. The lookup may run the function's code, such as a getter that throws.
function errorClass(scope, path) {
  try {
    const value = path.reduce((value, name) => value?.[name], scope)
    return typeof value === 'function' && (value === Error || value.prototype instanceof Error) ? value : null
  } catch {
    return null
  }
}

// Maps a roll to a number from `least` to `most`. The product is exact: it has less than 53 bits.
export function between(least, most, roll) {
  return least + Math.floor(roll.fraction * (most - least + 1))
}

// Calls a handler whose result nothing waits for. One that ends with its callback, which the runtimes before Node.js 24 have, ends the
// invocation itself, also where it does so by the end of the event loop.
function passOn(original, self, parameters) {
  const returned = Reflect.apply(original, self, parameters)
  return takesCallback(parameters) && !isPromise(returned) ? new Promise(() => {}) : returned
}

// Calls a handler of any form: one that returns a promise or a value, or one that ends with its callback or a method of its context.
// Returns the value, and whether it is from the callback.
async function call(original, self, parameters) {
  if (!takesCallback(parameters)) return { value: await Reflect.apply(original, self, parameters), isCalledBack: false }
  const [event, context, , ...rest] = parameters
  return new Promise((resolve, reject) => {
    const succeed = (value, isCalledBack = false) => resolve({ value, isCalledBack })
    const ending = (isCalledBack) => (error, value) => ((error ?? null) === null ? succeed(value, isCalledBack) : reject(error))
    // The runtime has read its own methods already.
    Object.assign(context, { done: ending(false), succeed: (value) => succeed(value), fail: (error) => reject(error ?? 'handled') })
    const returned = Reflect.apply(original, self, [event, context, ending(true), ...rest])
    if (isPromise(returned)) returned.then((value) => succeed(value), reject)
  })
}

// Ends the invocation as the handler has: with the runtime's callback, which by default waits for the function's pending work.
function callBack(parameters, value) {
  parameters[2](null, value)
  return new Promise(() => {})
}

const takesCallback = (parameters) => typeof parameters[2] === 'function'

const isPromise = (value) => typeof value?.then === 'function'

// Holds back the end of a stream until `before` has completed. If that fails, the stream is left to the runtime, which reports the failure
// as it reports one of the handler.
function holdEnd(stream, before) {
  const { end } = stream
  let hasEnded = false
  let fail
  const failure = new Promise((_, reject) => (fail = reject))
  failure.catch(() => {})
  const closed = new Promise((resolve) => stream.once('close', resolve))
  stream.end = (...last) => {
    last.filter((each) => typeof each === 'function').forEach((callback) => stream.once('finish', callback))
    // As without a fault, only the first of several ends counts.
    if (hasEnded) return stream
    hasEnded = true
    const [data, encoding] = last.filter((each) => typeof each !== 'function')
    if (data !== undefined && data !== null) stream.write(data, encoding)
    before().then(() => {
      stream.end = end
      stream.end()
    }).catch(fail)
    return stream
  }
  // Returns whether the end has not come yet.
  const release = () => {
    stream.end = end
    return !hasEnded
  }
  return { failure, closed, release }
}

// Sends a response in HTTP form as the head and the body of a stream, any other one as its JSON. The runtime's own HttpResponseStream
// may be absent, and needs a body.
function stream(response, responseStream) {
  if (response?.statusCode === undefined) {
    responseStream.end(stringify(response))
    return
  }
  const { statusCode, headers, cookies, body = '', isBase64Encoded } = response
  const text = typeof body === 'string' ? body : stringify(body)
  responseStream.setContentType(HTTP_RESPONSE)
  responseStream.write(stringify({ statusCode, headers, cookies }))
  responseStream.write(new Uint8Array(DELIMITER_BYTES))
  responseStream.end(Buffer.from(text, isBase64Encoded === true ? 'base64' : 'utf8'))
}

function wholeResponse(fault) {
  if (fault.raw !== null) return parse(fault.raw)
  return merged({ statusCode: 200, headers: {}, body: '', isBase64Encoded: false }, fault)
}

// Replaces the parts of a response that the fault gives. One that is not in HTTP form is replaced as a whole.
function merged(own, fault) {
  if (fault.raw !== null || !isObject(own) || !('statusCode' in own)) return wholeResponse(fault)
  const result = { ...own }
  if (fault.statusCode !== null) result.statusCode = fault.statusCode
  if (fault.body !== null) Object.assign(result, { body: fault.body, isBase64Encoded: false })
  const given = Object.entries(fault.headers)
  const hasLists = isObject(own.multiValueHeaders)
  if (given.length > 0 && hasLists) {
    result.multiValueHeaders = replaced(own.multiValueHeaders, given.map(([name, value]) => [name, [value]]))
  }
  if (given.length > 0 && (isObject(own.headers) || !hasLists)) result.headers = replaced(own.headers, given)
  return result
}

function replaced(own, given) {
  const names = given.map(([name]) => name.toLowerCase())
  const kept = Object.entries(isObject(own) ? own : {}).filter(([name]) => !names.includes(name.toLowerCase()))
  return Object.fromEntries([...kept, ...given])
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
