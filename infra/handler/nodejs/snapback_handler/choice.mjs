// Which faults an invocation has, by random numbers and conditions.
//
// The numbers are the same as the proxy's for the same seed. A roll is a number for the percentage, below a million, and one for a delay, a
// fraction below 1 from the upper half of the proxy's 64 bits.

const ALL = 1_000_000
const ALL_OF_64_BITS = 1_000_000n
const UPPER_HALF = 2 ** 32

// Selects faults by percentage, qualifier and conditions. `at` is the position of the context among the parameters of the handler.
export class Choice {
  constructor({ faults, seed }, at) {
    this.faults = faults
    this.at = at
    this.roll = dice(seed, faults.length)
  }

  // Returns the faults that are due, each with its roll; null without any.
  due(parameters) {
    const rolls = this.roll()
    let due = null
    for (let at = 0; at < this.faults.length; at++) {
      const fault = this.faults[at]
      if (rolls[at].part < fault.share && this.isSelected(fault, parameters)) {
        due ??= []
        due.push({ fault, roll: rolls[at] })
      }
    }
    return due
  }

  isSelected(fault, parameters) {
    if (fault.qualifier !== null) {
      const parts = String(parameters[this.at]?.invokedFunctionArn ?? '').split(':')
      if (fault.qualifier !== (parts.length > 7 ? parts.slice(7).join(':') : '$LATEST')) return false
    }
    return fault.conditions.every((holds) => holds(parameters[0]))
  }
}

// Returns a function that rolls once for each of `count` faults.
export function dice(seed, count) {
  return seed === null ? () => Array.from({ length: count }, random) : seeded(BigInt(seed), count)
}

function random() {
  return { part: Math.floor(Math.random() * ALL), fraction: Math.random() }
}

// The generator splitmix64.
function seeded(state, count) {
  const next = () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n)
    let mixed = state
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n)
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
    mixed ^= mixed >> 31n
    return { part: Number(mixed % ALL_OF_64_BITS), fraction: Number(mixed >> 32n) / UPPER_HALF }
  }
  return () => Array.from({ length: count }, next)
}

// Maps a roll to a number from `least` to `most`. The product is exact: it has less than 53 bits.
export function between(least, most, roll) {
  return least + Math.floor(roll.fraction * (most - least + 1))
}
