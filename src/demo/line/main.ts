import { defaultSeed } from './seed.ts'
import { startLineSimulator } from './server.ts'

/** Runs the simulator alone, until it is told to stop. */
const { LINE_SIMULATOR_PORT, LINE_SIMULATOR_HOST, LINE_SIMULATOR_ISSUER } = process.env
const { LINE_SIMULATOR_STATE, LINE_SIMULATOR_CALLBACK_URLS, LINE_SIMULATOR_FORCE } = process.env

const simulator = await startLineSimulator({
  port: Number(LINE_SIMULATOR_PORT ?? 4100),
  seed: defaultSeed(LINE_SIMULATOR_CALLBACK_URLS?.split(' ').filter(Boolean)),
  ...(LINE_SIMULATOR_HOST && { host: LINE_SIMULATOR_HOST }),
  ...(LINE_SIMULATOR_ISSUER && { issuer: LINE_SIMULATOR_ISSUER }),
  ...(LINE_SIMULATOR_STATE && { statePath: LINE_SIMULATOR_STATE }),
  force: LINE_SIMULATOR_FORCE === 'true',
})
console.log(`LINE simulator at ${simulator.url}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void simulator.close())
}
