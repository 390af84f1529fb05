// Reads the samples of the wire format with the Node.js handler, and prints the results as JSON, for test_wire.py.
import { readFileSync } from 'node:fs'
import { between, dice } from '../../infra/handler/nodejs/snapback_handler/choice.mjs'
import { compiled } from '../../infra/handler/nodejs/snapback_handler/conditions.mjs'
import { parse } from '../../infra/handler/nodejs/snapback_handler/config.mjs'

const samples = JSON.parse(readFileSync(process.argv[2], 'utf8'))

function readOrders({ text }) {
  try {
    const { faults, ignored } = parse(text)
    return { kinds: faults.map(({ kind }) => kind), ignored: ignored.length }
  } catch {
    return { refused: true }
  }
}

function roll({ seed, percentages, span, invocations }) {
  const next = dice(seed, percentages.length)
  return invocations.map(() => {
    const rolls = next()
    const triggered = rolls.flatMap(({ part }, at) => (part < Math.round(percentages[at] * 10_000) ? [at] : []))
    return { triggered, delay: between(...span, rolls[2]) }
  })
}

console.log(
  JSON.stringify({
    orders: samples.orders.map(readOrders),
    conditions: samples.conditions.map(({ condition }) => compiled(condition)(samples.event)),
    invocations: roll(samples.rolls),
  }),
)
