// Random numbers with a seed, the same as the proxy's for the same seed. Loaded only for a seed.

const ALL = 1_000_000n
const UPPER_HALF = 2 ** 32

// Returns a function that returns the next numbers of the generator splitmix64, `count` at a time: each as a number for the percentage,
// below a million, and as one for a delay, a fraction below 1 from its upper half.
export function seeded(seed, count) {
  let state = BigInt(seed)
  const next = () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n)
    let mixed = state
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n)
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
    mixed ^= mixed >> 31n
    return { part: Number(mixed % ALL), fraction: Number(mixed >> 32n) / UPPER_HALF }
  }
  return () => Array.from({ length: count }, next)
}
