/** How far each client of a kernel has come with its output. */

/** Path of a kernel's websocket. */
const CHANNELS = /\/api\/kernels\/([^/?]+)\/channels$/;

/** One client of one kernel, by the URL of its websocket. */
export interface IClient {
  readonly kernel: string;
  readonly key: string;
}

/** The server may not know a message: what it made itself, or dropped; it takes the last it knows. */
const KEPT = 4;

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
  note(client: IClient, id: string): void {
    this.last.set(client.key, [...(this.last.get(client.key) ?? []), id].slice(-KEPT));
  }

  /** The URL that also says where a client is; unchanged for one that has nothing yet. */
  extend(url: string, client: IClient | null): string {
    const ids = client === null ? [] : (this.last.get(client.key) ?? []);
    return url + ids.map(id => `&replay=${encodeURIComponent(`msg:${id}`)}`).join('');
  }

  private readonly last = new Map<string, readonly string[]>();
}
