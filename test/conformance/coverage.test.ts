import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { coverage } from './coverage.ts'
import { plans } from './plans.ts'

const modules = [...new Set(Object.values(plans).flat())]

/** What a test file holds as titles of its tests and groups of tests. */
function titlesOf(path: string): string[] {
  const url = new URL(`../${path}.test.ts`, import.meta.url)
  if (!existsSync(url)) return []
  const source = readFileSync(url, 'utf8')
  return [
    ...source.matchAll(/\(\s*(?:'((?:[^'\\\n]|\\.)+)'|"([^"\n]+)"|`([^`\n]+)`),\s*(?:async\s*)?\(/g),
  ].map(([, single, double, template]) => (single ?? double ?? template ?? '').replaceAll("\\'", "'"))
}

describe('the modules of the official conformance plans', () => {
  test.each(Object.entries(plans))('%s: each has its place in the table', (_, names) => {
    expect(names.filter((name) => !(name in coverage))).toEqual([])
    expect(new Set(names).size).toBe(names.length)
  })

  test('the table names no other module', () => {
    expect(Object.keys(coverage).filter((name) => !modules.includes(name))).toEqual([])
  })

  test('each is shown by a test that exists, or says why it cannot be', () => {
    const known = new Map<string, string[]>()
    const missing = Object.entries(coverage).filter(([, where]) => {
      if (typeof where !== 'string') return where.outOfReach.length < 20
      const [path = '', title = ''] = where.split(' > ')
      const titles = known.get(path) ?? titlesOf(path)
      known.set(path, titles)
      return title === '' || !titles.some((candidate) => candidate.startsWith(title))
    })
    expect(missing).toEqual([])
  })

  test('what is out of reach is what the engine leaves out, and nothing else', () => {
    const outOfReach = modules.filter((name) => typeof coverage[name] !== 'string')
    expect(outOfReach).toEqual(['oidcc-request-uri-unsigned', 'oidcc-request-uri-signed-rs256'])
  })
})
