import type { Reporter, TestCase } from 'vitest/node'

/** Ends the run with one plain line: how many tests passed, failed and were skipped. */
export const summaryReporter = (): Reporter => {
  const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 }
  return {
    onTestCaseResult: (test: TestCase) => {
      counts[test.result().state] += 1
    },
    onTestRunEnd: (_modules, unhandledErrors) => {
      const failed = counts.failed + unhandledErrors.length
      const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
      process.once('exit', () => console.log(`${counts.passed} passed, ${failed} failed${skipped}`))
    },
  }
}
