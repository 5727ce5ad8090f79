import Router from '@koa/router'
import type { Simulator } from './simulator.ts'
export function controlRoutes(_sim: Simulator): Router {
  return new Router()
}
