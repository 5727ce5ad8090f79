import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { problemCodes } from '../src/problem.ts'
import { cycles, importFault } from './support/import-rules.ts'
import { messageKeys } from './support/message-keys.ts'
import { filesBelow, lineOf, parse, parseView, read, type SourceFile, walk } from './support/source.ts'
import { callsGlobalFetch, isCallOf, isFunction, isMember, ownLines } from './support/source-rules.ts'

const files = filesBelow('src', '.ts').map(parse)
const views = filesBelow('views', '.eta')
const catalogs = { ja: catalog('ja'), en: catalog('en') }

/** What starts a process reads the environment and the clock; what is below gets both from there. */
const entrances = /^src\/(main\.ts|cli\/|demo\/)/

test('every file of src can be parsed', () => {
  expect(files.length).toBeGreaterThan(100)
  expect(
    files.flatMap(({ path, parsed }) => parsed.errors.map(({ message }) => `${path}: ${message}`)),
  ).toEqual([])
})

describe('imports', () => {
  test('go down only, and nobody imports the demo', () => {
    expect(
      files.flatMap(({ path, imports }) => imports.flatMap((imported) => importFault(path, imported) ?? [])),
    ).toEqual([])
  })

  test('name files that exist', () => {
    const known = new Set(filesBelow('src'))
    expect(
      files.flatMap(({ path, imports }) =>
        imports
          .filter((imported) => !known.has(imported) && !imported.startsWith('src/store/generated/'))
          .map((imported) => `${path}: ${imported}`),
      ),
    ).toEqual([])
  })

  test('form no cycle', () => {
    expect(cycles(new Map(files.map(({ path, imports }) => [path, imports])))).toEqual([])
  })

  test('undici is for the one place that fetches', () => {
    expect(pathsWhere(({ packages }) => packages.includes('undici'))).toEqual(['src/http/outbound.ts'])
  })
})

describe('sizes', () => {
  test('a file has at most 300 lines', () => {
    expect(files.filter(({ text }) => text.split('\n').length > 301).map(({ path }) => path)).toEqual([])
  })

  test('a function has at most 60 lines, without the functions it is only the frame of', () => {
    expect(files.flatMap(longFunctions)).toEqual([])
  })

  test('folders under src are at most two deep', () => {
    expect(filesBelow('src').filter((path) => path.split('/').length > 4)).toEqual([])
  })

  test('every folder under src says in at most 25 lines what it owns', () => {
    const folders = new Set(filesBelow('src').map((path) => dirname(path)))
    // A folder of folders is a folder as well.
    for (const folder of [...folders]) folders.add(dirname(folder))
    const known = new Set(filesBelow('src', 'README.md'))
    const faults = [...folders]
      .filter((folder) => folder.startsWith('src/'))
      .filter((folder) => {
        const readme = `${folder}/README.md`
        return !known.has(readme) || read(readme).trimEnd().split('\n').length > 25
      })
    expect(faults.sort()).toEqual([])
  })
})

describe('code', () => {
  test('exports have names', () => {
    expect(
      pathsWhere(({ parsed }) =>
        parsed.module.staticExports.some(({ entries }) =>
          entries.some(({ exportName }) => exportName.kind === 'Default' || exportName.name === 'default'),
        ),
      ),
    ).toEqual([])
  })

  test('the environment is read where a process starts, and nowhere else', () => {
    const readers = placesOf(
      (node) =>
        isMember(node, 'process', 'env') ||
        (node.type === 'ImportDeclaration' && /^(node:)?process$/.test(node.source.value)),
    )
    expect(readers.filter((place) => !entrances.test(place))).toEqual([])
  })

  test('the clock is read where a process starts, and nowhere else', () => {
    const readers = placesOf(
      (node) =>
        isCallOf(node, 'Date', 'now') ||
        ((node.type === 'NewExpression' || node.type === 'CallExpression') &&
          node.callee.type === 'Identifier' &&
          node.callee.name === 'Date' &&
          node.arguments.length === 0),
    )
    expect(readers.filter((place) => !entrances.test(place))).toEqual([])
  })

  test('nothing is left to Math.random', () => {
    expect(placesOf((node) => isMember(node, 'Math', 'random'))).toEqual([])
  })

  test('requests to others go through the guarded fetch', () => {
    const callers = placesOf((node, around) => callsGlobalFetch(node, around))
    expect(callers.filter((place) => !/^src\/(http\/outbound\.ts|demo\/)/.test(place))).toEqual([])
  })
})

describe('views and messages', () => {
  test('only layouts, partials and the engine’s own form reach a page unescaped', () => {
    // A mail in plain text has nothing to escape for.
    const free = /(^|\/)layout[^/]*\.eta$|\.txt\.eta$|^views\/oidc\/sign-out\.eta$/
    const raw = views
      .filter((path) => !free.test(path))
      .flatMap((path) =>
        [...read(path).matchAll(/<%[-_]?~(?!\s*include\()[^%]*/g)].map(([tag]) => `${path}: ${tag}`),
      )
    expect(raw).toEqual([])
  })

  test('both languages have the same messages', () => {
    expect(Object.keys(catalogs.ja).sort()).toEqual(Object.keys(catalogs.en).sort())
  })

  test('no message is empty', () => {
    for (const messages of Object.values(catalogs))
      expect(Object.keys(messages).filter((key) => messages[key]?.trim() === '')).toEqual([])
  })

  test('every problem has a title and a detail in both languages', () => {
    const needed = problemCodes.flatMap((code) => [`problem.${code}.title`, `problem.${code}.detail`])
    for (const messages of Object.values(catalogs))
      expect(needed.filter((key) => !(key in messages))).toEqual([])
  })

  test('every message that a page or a file asks for exists', () => {
    const asked = [
      ...views.map((path) => [path, messageKeys(parseView(path).program)] as const),
      ...files
        .filter(({ path }) => !path.startsWith('src/demo/'))
        .map(({ path, parsed }) => [path, messageKeys(parsed.program)] as const),
    ]
    expect(asked.flatMap(([, keys]) => keys).length).toBeGreaterThan(150)
    const known = Object.keys(catalogs.en)
    const missing = asked.flatMap(([path, keys]) =>
      keys.filter((key) => !known.some((one) => key.test(one))).map((key) => `${path}: ${key.source}`),
    )
    expect(missing).toEqual([])
  })
})

function pathsWhere(matches: (file: SourceFile) => boolean): string[] {
  return files.filter(matches).map(({ path }) => path)
}

/** Where a kind of node stands: `src/a/b.ts:12`. */
function placesOf(matches: (...args: Parameters<typeof callsGlobalFetch>) => boolean): string[] {
  return files.flatMap(({ path, text, parsed }) =>
    [...walk(parsed.program)]
      .filter(({ node, around }) => matches(node, around))
      .map(({ node }) => `${path}:${lineOf(text, node.start)}`),
  )
}

/** `app.ts:60 has 67 lines`. */
function longFunctions({ path, text, parsed }: SourceFile): string[] {
  return [...walk(parsed.program)]
    .filter(({ node }) => isFunction(node))
    .map(({ node }) => ({ line: lineOf(text, node.start), lines: ownLines(text, node) }))
    .filter(({ lines }) => lines > 60)
    .map(({ line, lines }) => `${path}:${line} has ${lines} lines`)
}

function catalog(locale: string): Record<string, string> {
  return flatten(JSON.parse(read(`views/locales/${locale}.json`)), '')
}

function flatten(tree: Record<string, unknown>, prefix: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree).flatMap(([name, value]) =>
      typeof value === 'string'
        ? [[`${prefix}${name}`, value]]
        : Object.entries(flatten(value as Record<string, unknown>, `${prefix}${name}.`)),
    ),
  )
}
