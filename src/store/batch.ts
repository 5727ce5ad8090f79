interface Waiting<Q, A> {
  question: Q
  resolve: (answer: A) => void
  reject: (error: unknown) => void
}

const largest = 50

/**
 * Puts what is asked in one turn of the event loop into one statement: under load a round trip is shared by many, and
 * nobody waits for more than the turn. `answer` gives one answer for each question, in their order. When it fails for
 * several and is known to have done nothing, each is asked by itself, so that nobody fails for somebody else.
 */
export function inBatches<Q, A>(
  answer: (questions: readonly Q[]) => Promise<readonly A[]>,
  didNothing: (error: unknown) => boolean,
): (question: Q) => Promise<A> {
  let waiting: Waiting<Q, A>[] = []

  const ask = async (batch: readonly Waiting<Q, A>[]): Promise<void> => {
    try {
      const answers = await answer(batch.map(({ question }) => question))
      for (const [i, { resolve }] of batch.entries()) resolve(answers[i] as A)
    } catch (error) {
      if (batch.length > 1 && didNothing(error)) await Promise.all(batch.map((one) => ask([one])))
      else for (const { reject } of batch) reject(error)
    }
  }

  const send = () => {
    const all = waiting
    waiting = []
    for (let from = 0; from < all.length; from += largest) void ask(all.slice(from, from + largest))
  }

  return (question) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ question, resolve, reject }) === 1) setImmediate(send)
    })
}
