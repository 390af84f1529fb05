// snapback's chaos handler for Node.js: it replaces a function's handler during an experiment, and calls the original.
//
// The runtime loads it as `/opt/nodejs/snapback_handler/index.handler`: an absolute path, because ES modules are not searched in NODE_PATH.
// It passes every call on until a fault is due, which faults.mjs injects.

import { Choice } from './choice.mjs'
import { FAULTS_VARIABLE, ORIGINAL_VARIABLE, read } from './config.mjs'
import { load } from './load.mjs'

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming')

export const handler = await start()

async function start() {
  const { [ORIGINAL_VARIABLE]: name = '', [FAULTS_VARIABLE]: text } = process.env
  delete process.env[ORIGINAL_VARIABLE]
  delete process.env[FAULTS_VARIABLE]
  // Libraries read the handler's name from the environment.
  process.env._HANDLER = name
  const { handler: original, module } = await load(name)
  const orders = read(text)
  return orders === null ? original : wrap(original, module, orders)
}

// Returns a handler that injects the faults until they expire. The runtime reads from its properties whether the handler takes a callback
// and whether it streams, so it has those of the original.
function wrap(original, module, orders) {
  const streams = Boolean(original[STREAMING])
  const choice = new Choice(orders, streams ? 2 : 1)
  const { until } = orders
  let injector = null

  function handler(...parameters) {
    if (Date.now() >= until) return original.apply(this, parameters)
    const due = choice.due(parameters)
    return due === null ? original.apply(this, parameters) : inject(due, this, parameters)
  }

  async function inject(due, self, parameters) {
    if (injector === null) {
      const { Injector } = await import('./faults.mjs')
      injector ??= new Injector(original, module, orders, streams)
    }
    return injector.inject(due, self, parameters)
  }

  for (const name of Reflect.ownKeys(original)) {
    if (name === 'prototype' || name === 'arguments' || name === 'caller') continue
    Object.defineProperty(handler, name, Object.getOwnPropertyDescriptor(original, name))
  }
  return handler
}
