import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Eta } from 'eta'
import { type Node, type ParseResult, parseSync } from 'oxc-parser'

export type { Node }

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface SourceFile {
  /** Below the repository, e.g. `src/http/shell.ts`. */
  path: string
  text: string
  parsed: ParseResult
  /** Every file of this repository it names, type imports included. */
  imports: string[]
  /** Packages and Node's own modules. */
  packages: string[]
}

/** Files below a folder, as paths below the repository; what tools generate is left out. */
export function filesBelow(folder: string, ending = ''): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('src/store/generated/'))
    .sort()
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

export function parse(path: string): SourceFile {
  const text = read(path)
  const parsed = parseSync(path, text)
  const { staticImports, staticExports } = parsed.module
  const named = [
    ...staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...staticExports.flatMap(({ entries }) => entries.flatMap((entry) => entry.moduleRequest?.value ?? [])),
  ]
  for (const { node } of walk(parsed.program)) {
    // import('./a.ts'), and import('./a.ts').A as a type
    if ((node.type === 'ImportExpression' || node.type === 'TSImportType') && isText(node.source))
      named.push(node.source.value)
  }
  return {
    path,
    text,
    parsed,
    imports: named.filter((name) => name.startsWith('.')).map((name) => join(dirname(path), name)),
    packages: named.filter((name) => !name.startsWith('.')),
  }
}

/** A view as the program that Eta makes of it. */
export function parseView(path: string): ParseResult {
  return parseSync('view.js', `function view(it, options) {${new Eta().compileToString(read(path))}}`)
}

/** Every node below one, with the nodes around it, nearest first. */
export function* walk(
  node: Node,
  around: readonly Node[] = [],
): Generator<{ node: Node; around: readonly Node[] }> {
  yield { node, around }
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) yield* walk(child, [node, ...around])
    }
  }
}

export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

export function isText(node: Node): node is Node & { value: string } {
  return node.type === 'Literal' && typeof node.value === 'string'
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}
