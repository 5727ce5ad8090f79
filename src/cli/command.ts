import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'

/** What every command takes. */
export interface Json {
  json?: boolean
}

/** A command as all of them are: with `--json`, and with examples in its help. */
export function addCommand(
  group: Command,
  name: string,
  description: string,
  examples: readonly string[],
): Command {
  return group
    .command(name)
    .description(description)
    .option('--json', 'print one JSON value instead of text')
    .addHelpText(
      'after',
      `\nExamples:\n${examples.map((line) => (line.startsWith(' ') ? `  ${line}` : `  $ ${line}`)).join('\n')}`,
    )
}

/** For an option that may be given several times. */
export const collected = (value: string, before: readonly string[] = []) => [...before, value]

/** For an option that may be given several times, or once with several words. */
export const collectedWords = (value: string, before: readonly string[] = []) => [
  ...before,
  ...value.split(/\s+/).filter(Boolean),
]

/** A name in each language: one that is not given is taken from the other. Undefined when neither is. */
export function nameOf({ nameJa, nameEn }: { nameJa?: string; nameEn?: string }) {
  const [ja, en] = [nameJa ?? nameEn, nameEn ?? nameJa]
  return ja === undefined ? undefined : { ja, en }
}
export const nameOptions = {
  name: '--name-ja or --name-en',
  'name.ja': '--name-ja',
  'name.en': '--name-en',
}

/** A file's text, or with `-` that of standard input. Rejects with words for the reader. */
export async function readText(path: string): Promise<string> {
  try {
    return path === '-' ? await text(process.stdin) : await readFile(path, 'utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    throw new Error(code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code ?? cause})`, {
      cause,
    })
  }
}

/** The input without what was not given, so that defaults take its place. */
export function given<T extends object>(input: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(input).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
