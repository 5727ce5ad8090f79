import { startServer } from '../../src/main.ts'
import { runProcess } from './child.ts'

/** The server as it runs anywhere: its setup is its environment. */
runProcess<Record<string, string>>(async (env) => {
  const { stop } = await startServer(env)
  return stop
})
