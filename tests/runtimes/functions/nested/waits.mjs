import { setTimeout as pause } from 'node:timers/promises'
import { greeting } from './words.mjs'

await pause(20)

export const api = { handler: async () => ({ greeting }) }
