// None of these is due: a share that is never rolled, and a condition that does not hold.
export const FAULTS = [
  { exception: { percentage: 0 } },
  { latency: { delayMs: 100, match: [{ path: 'rawPath', equals: '/other' }] } },
]
export const HOUR_MS = 3_600_000
