/** Which sessions are listed, and in which order. Pure. */

import type { ISession } from '../tokens';

export type Order = 'newest' | 'name' | 'memory' | 'cpu';

const COMPARE: Record<Order, ((one: ISession, other: ISession) => number) | null> = {
  newest: null, // as the server lists them
  name: (one, other) => one.name.localeCompare(other.name),
  memory: (one, other) => (other.memory ?? 0) - (one.memory ?? 0),
  cpu: (one, other) => (other.cpu ?? 0) - (one.cpu ?? 0)
};

/** Sessions that have every word of a filter somewhere in what is said of them, in order. */
export function choose(
  sessions: readonly ISession[],
  filter: string,
  order: Order
): readonly ISession[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const found = sessions.filter(one => {
    const said = `${one.name} ${one.status} ${one.image} ${one.preset} ${one.info}`.toLowerCase();
    return words.every(word => said.includes(word));
  });
  const compare = COMPARE[order];
  return compare === null ? found : found.sort(compare);
}
