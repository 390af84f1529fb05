// What the handler writes to the function's log: metrics, and why it does not inject. Loaded only if there is something to write.

import { writeSync } from 'node:fs'
import { now, stringify } from './globals.mjs'

// Up to this size, one write to a pipe is atomic (POSIX, PIPE_BUF on Linux).
const MAX_LINE_BYTES = 4096
const STDOUT = 1
const STDERR = 2

// Writes one message to standard error.
export function line(message) {
  write(STDERR, `snapback-handler: ${message}\n`)
}

// Writes the metrics of an injected fault in CloudWatch's embedded metric format, as the proxy does.
export function metric(orders, fault, delayMs, request) {
  const named = { FunctionName: process.env.AWS_LAMBDA_FUNCTION_NAME, RequestId: request }
  for (const properties of [named, {}]) {
    const text = stringify(metricOf(orders, fault, delayMs, properties)) + '\n'
    if (Buffer.byteLength(text) <= MAX_LINE_BYTES) return write(STDOUT, text)
  }
}

function metricOf(orders, fault, delayMs, properties) {
  const Metrics = [
    { Name: 'InjectedFaults', Unit: 'Count' },
    { Name: 'InjectedDelay', Unit: 'Milliseconds' },
  ]
  const directive = { Namespace: 'snapback', Dimensions: [['Experiment', 'Run', 'Fault']], Metrics }
  return {
    _aws: { Timestamp: now(), CloudWatchMetrics: [directive] },
    Experiment: orders.experiment,
    Run: orders.run,
    Fault: fault,
    InjectedFaults: 1,
    InjectedDelay: delayMs,
    ...Object.fromEntries(Object.entries(properties).filter(([, value]) => value)),
  }
}

// Not through console.log, which the runtime replaces: one line is one write.
function write(descriptor, text) {
  try {
    writeSync(descriptor, text)
  } catch {
    // There is no other place to report it.
  }
}
