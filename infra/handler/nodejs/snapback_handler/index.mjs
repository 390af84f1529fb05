// snapback's chaos handler for Node.js: it replaces a function's handler during an experiment, and calls the original.
//
// The runtime loads it as `/opt/nodejs/snapback_handler/index.handler`: an absolute path, because ES modules are not searched in NODE_PATH.
// It passes every call on until a fault is due, which faults.mjs injects. Each file takes a third of a millisecond at the start, so the
// start imports only what every run needs: this file, globals.mjs, load.mjs and orders.mjs.

import { now, random } from './globals.mjs'
import { load } from './load.mjs'
import { FAULTS_VARIABLE, ORIGINAL_VARIABLE, parse } from './orders.mjs'

const ALL = 1_000_000
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming')

export const handler = await start()

async function start() {
  const { [ORIGINAL_VARIABLE]: name = '', [FAULTS_VARIABLE]: text } = process.env
  delete process.env[ORIGINAL_VARIABLE]
  delete process.env[FAULTS_VARIABLE]
  // Libraries read the handler's name from the environment.
  process.env._HANDLER = name
  // The function's module may change what the reading needs, so it is loaded last.
  const orders = await read(text)
  const rollAll = orders === null ? null : await dice(orders)
  const { handler: original, module } = await load(name)
  return orders === null ? original : wrap(original, module, orders, rollAll)
}

// Returns the orders; null, with one line in the log, if there is nothing to inject.
async function read(text) {
  let orders = null
  let problems = ['is not set; the function runs without faults']
  try {
    if (text !== undefined) {
      orders = await parse(text)
      problems = orders.ignored.map((what) => `${what}; ignored`)
    }
  } catch (error) {
    problems = [`cannot be read: ${error.message}; the function runs without faults`]
  }
  if (problems.length > 0) {
    const { line } = await import('./log.mjs')
    problems.forEach((problem) => line(`${FAULTS_VARIABLE}: ${problem}`))
  }
  return orders?.faults.length > 0 && now() < orders.until ? orders : null
}

// Returns a function that rolls once for each fault.
async function dice({ seed, faults }) {
  if (seed === null) return () => faults.map(roll)
  const { seeded } = await import('./dice.mjs')
  return seeded(seed, faults.length)
}

// A number for the percentage, below a million, and one for a delay, a fraction below 1.
function roll() {
  return { part: Math.floor(random() * ALL), fraction: random() }
}

// Returns a handler that injects the faults until they expire. The runtime reads from its properties whether the handler takes a callback
// and whether it streams. A proxy has all of the original's, also inherited and virtual ones.
function wrap(original, module, orders, rollAll) {
  const streams = Boolean(original[STREAMING])
  const { until, faults } = orders
  let injector = null

  function apply(_, self, parameters) {
    const due = now() < until ? choose(parameters) : null
    return due === null ? Reflect.apply(original, self, parameters) : inject(due, self, parameters)
  }

  // Returns the faults that are due, each with its roll; null without any.
  function choose(parameters) {
    const rolls = rollAll()
    let due = null
    for (let at = 0; at < faults.length; at++) {
      if (rolls[at].part < faults[at].share && isSelected(faults[at], parameters, parameters[streams ? 2 : 1])) {
        due ??= []
        due.push({ fault: faults[at], roll: rolls[at] })
      }
    }
    return due
  }

  async function inject(due, self, parameters) {
    if (injector === null) {
      const { Injector } = await import('./faults.mjs')
      injector ??= new Injector(original, module, orders, streams)
    }
    return injector.inject(due, self, parameters)
  }

  return new Proxy(original, { apply })
}

function isSelected(fault, [event], context) {
  if (fault.qualifier !== null) {
    const parts = String(context?.invokedFunctionArn ?? '').split(':')
    if (fault.qualifier !== (parts.length > 7 ? parts.slice(7).join(':') : '$LATEST')) return false
  }
  return fault.conditions.every((holds) => holds(event))
}
