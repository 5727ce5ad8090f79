/** Whether this is what people write, or a button posts back, to be sent the link: in any width and case. */
export function isLinkWord(text: string | undefined, words: readonly string[]): boolean {
  return text !== undefined && words.some((word) => plain(word) === plain(text))
}

const plain = (text: string) => text.normalize('NFKC').trim().toLowerCase()
