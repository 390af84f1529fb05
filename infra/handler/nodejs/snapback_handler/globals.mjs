// The built-in functions that the function's module may replace, as they are before it runs: fake timers, a Math.random with a seed.

export const { random } = Math
export const { now } = Date
export const { parse, stringify } = JSON
export const { setTimeout } = globalThis
