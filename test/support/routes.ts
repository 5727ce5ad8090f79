import type { App } from '../../src/app.ts'

export interface Route {
  method: string
  /** With its parameters: `/link/:id/agree`. */
  path: string
}

interface Layer {
  methods: string[]
  path: string
}

/** Every route of our own pages, read from the routers themselves, so that none is forgotten. */
export function ownRoutes({ koa }: App): Route[] {
  const layers = koa.middleware.flatMap((middleware) =>
    'router' in middleware ? (middleware.router as { stack: Layer[] }).stack : [],
  )
  return layers.flatMap(({ methods, path }) =>
    methods.filter((method) => method !== 'HEAD').map((method) => ({ method, path })),
  )
}

export function changingRoutes(app: App): Route[] {
  return ownRoutes(app).filter(({ method }) => method !== 'GET')
}

/** A route's address with values for its parameters. */
export function fill(path: string, values: Record<string, string>): string {
  return path.replace(/:(\w+)/g, (_, name) => encodeURIComponent(values[name] ?? 'unknown'))
}
