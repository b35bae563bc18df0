/** Which sessions are listed, and in which order. Pure. */

import type { ISession } from '../tokens';

/** What a list is sorted by. */
export type Order = 'newest' | 'name' | 'memory' | 'cpu';

const COMPARE: Record<Order, ((one: ISession, other: ISession) => number) | null> = {
  newest: null, // as the server lists them
  name: (one, other) => one.name.localeCompare(other.name),
  memory: (one, other) => (other.memory ?? 0) - (one.memory ?? 0),
  cpu: (one, other) => (other.cpu ?? 0) - (one.cpu ?? 0)
};

/** Where the browser keeps the order that was chosen last. */
const KEY = 'jupyter-sessmgr:order';

/** The order that was chosen last in this browser. */
export function rememberedOrder(): Order {
  const order = fromStorage();
  return order !== null && order in COMPARE ? (order as Order) : 'newest';
}

/** Keep an order for the next time, where the browser lets pages keep anything. */
export function rememberOrder(order: Order): void {
  try {
    window.localStorage.setItem(KEY, order);
  } catch {
    return; // then it holds for this page
  }
}

function fromStorage(): string | null {
  try {
    return window.localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

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
