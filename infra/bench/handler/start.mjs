// Measures in a new process how long it takes to load a handler: `start.mjs FILE`. Prints the CPU time in ms, for speed.py.
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FAULTS, HOUR_MS } from './faults.mjs'

process.env.LAMBDA_TASK_ROOT = dirname(fileURLToPath(import.meta.url))
process.env.SNAPBACK_HANDLER = 'plain.handler'
process.env.SNAPBACK_HANDLER_FAULTS = JSON.stringify({ until: Date.now() + HOUR_MS, experiment: 'e', run: 'r', faults: FAULTS })
const began = process.cpuUsage()
await import(process.argv[2])
const { user, system } = process.cpuUsage(began)
console.log((user + system) / 1000)
