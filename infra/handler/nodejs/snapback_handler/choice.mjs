// Which faults an invocation has.

import { dice } from './dice.mjs'

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
