import { defineConfig } from 'vitest/config'
import { summaryReporter } from './support/summary-reporter.ts'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', summaryReporter()],
    // Tests run on Node's own loader, as the server does: nothing is transformed.
    experimental: { viteModuleRunner: false },
    // Tests mostly wait: for servers, hashes and browsers.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
