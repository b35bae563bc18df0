/** Websockets of kernels that miss nothing while the server is away. */

import { glance } from './frames';
import type { IClient, Positions } from './positions';
import type { ServerWatch } from './server';

type Handler = ((event: Event) => unknown) | null;

/** Whom it is told to. */
export interface IReturnListener {
  /** A client connects, so it may have missed something. */
  connecting(): void;
  /** A message came that was missed. */
  replayed(): void;
}

/**
 * Extend a class of websockets.
 *
 * A websocket of a kernel asks for what its client has missed. One that could not be opened tells
 * so only when the server answers: JupyterLab looks then whether the kernel lives, and opens the
 * next one at once; without this it would wait for 10 to 30 s before it looks.
 */
export function survivingSocket(
  base: typeof WebSocket,
  positions: Positions,
  server: ServerWatch,
  listener: IReturnListener
): typeof WebSocket {
  return class extends base {
    constructor(url: string | URL, protocols?: string | string[]) {
      const client = positions.client(String(url));
      super(positions.extend(String(url), client), protocols);
      if (client !== null) {
        listener.connecting();
        follow(this, client, positions, listener);
        hold(this, server);
      }
    }
  };
}

/** Note how far the client comes. */
function follow(
  socket: WebSocket,
  client: IClient,
  positions: Positions,
  listener: IReturnListener
): void {
  socket.addEventListener('message', ({ data }) => {
    const seen = glance(data);
    if (seen?.channel === 'iopub' && !seen.made) {
      positions.note(client, seen);
      if (seen.seq !== null) {
        listener.replayed();
      }
    }
  });
}

/** Keep the end of a websocket that never opened from its owner until the server answers. */
function hold(socket: WebSocket, server: ServerWatch): void {
  let opened = false;
  socket.addEventListener('open', () => {
    opened = true;
  });
  for (const kind of ['close', 'error']) {
    let handler: Handler = null;
    const deliver = (event: Event) => {
      if (opened) {
        handler?.call(socket, comeAgain(event));
      } else {
        void server.back().then(() => handler?.call(socket, event));
      }
    };
    socket.addEventListener(kind, deliver);
    Object.defineProperty(socket, `on${kind}`, {
      get: () => handler,
      set: (wanted: Handler) => {
        handler = wanted;
      }
    });
  }
}

/** What a server says that stops: JupyterLab would not come back after it. */
const GOING_AWAY = 1001;
const SERVICE_RESTART = 1012;

/** Have a server's stop understood as its restart: sessions outlive it. */
function comeAgain(event: Event): Event {
  if (!(event instanceof CloseEvent) || event.code !== GOING_AWAY) {
    return event;
  }
  const { reason, wasClean } = event;
  return new CloseEvent('close', { code: SERVICE_RESTART, reason, wasClean });
}
