/** How far each client of a kernel has come with its output. */

import type { IGlance } from './frames';

/** Path of a kernel's websocket. */
const CHANNELS = /\/api\/kernels\/([^/?]+)\/channels$/;

/** One client of one kernel, by the URL of its websocket. */
export interface IClient {
  readonly kernel: string;
  readonly key: string;
}

/** The server may not know a message: what it made itself, or dropped; it takes the last it knows. */
const KEPT = 4;

/** Where a client is: the latest of these counts. */
interface IPosition {
  /** Number of the last message that had been kept for it. */
  readonly seq: number | null;
  /** The last messages that came when they were said. */
  readonly ids: readonly string[];
}

const NOWHERE: IPosition = { seq: null, ids: [] };

/** Remembers the last messages of each client; a new websocket of it asks for what came after. */
export class Positions {
  /** The client that a URL is of; null when it is not of a kernel's websocket. */
  client(url: string): IClient | null {
    const { pathname, searchParams } = new URL(url, document.baseURI);
    const kernel = CHANNELS.exec(pathname)?.[1];
    const session = searchParams.get('session_id');
    return kernel && session ? { kernel, key: `${kernel} ${session}` } : null;
  }

  /** Note that a client has a message. */
  note(client: IClient, { id, seq }: IGlance): void {
    const before = this.last.get(client.key) ?? NOWHERE;
    const now =
      seq === null
        ? { ...before, ids: [...before.ids, id].slice(-KEPT) }
        : { ...before, seq: Math.max(before.seq ?? 0, seq) }; // old cells are brought in any order
    this.last.set(client.key, now);
  }

  /** The URL that also says where a client is; unchanged for one that has nothing yet. */
  extend(url: string, client: IClient | null): string {
    const { seq, ids } = (client && this.last.get(client.key)) ?? NOWHERE;
    const known = [...(seq === null ? [] : [`${seq}`]), ...ids.map(id => `msg:${id}`)];
    return url + known.map(one => `&replay=${encodeURIComponent(one)}`).join('');
  }

  private readonly last = new Map<string, IPosition>();
}
