/** How far each client of a kernel has come with its output. */

/** Path of a kernel's websocket. */
const CHANNELS = /\/api\/kernels\/([^/?]+)\/channels$/;

/** One client of one kernel, by the URL of its websocket. */
export interface IClient {
  readonly kernel: string;
  readonly key: string;
}

/** Remembers the last message of each client; a new websocket of it asks for what came after. */
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
    this.last.set(client.key, id);
  }

  /** The URL that also says where a client is; unchanged for one that has nothing yet. */
  extend(url: string, client: IClient | null): string {
    const id = client === null ? undefined : this.last.get(client.key);
    return id === undefined ? url : `${url}&replay=${encodeURIComponent(`msg:${id}`)}`;
  }

  private readonly last = new Map<string, string>();
}
