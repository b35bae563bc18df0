/** Everything that is asked of the server. The one file that fetches. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { JSONObject, JSONValue } from '@lumino/coreutils';

import { isObject, object, objects, text } from './json';
import { IExecution, readExecution } from './output/executions';
import { ILimits, readLimits } from './starting/limits';
import { FINAL, IHealth, IOffer, ISession, IService, ROOT } from './tokens';
import { readHealth, readOffer, readService, readSession } from './wire';

/** Most sessions on one page of a list: of those that live, and of those that ended. */
const PAGE = 1000;
const ENDED = 50;

/** What the server refused, in its own words: they say what happened, and what to do. */
export class Refusal extends Error {
  constructor(
    message: string,
    /** HTTP status. */
    readonly status: number,
    /** What kind of problem it is, in a word; "" when the answer was none of ours. */
    readonly kind: string = '',
    /** The field of the request that it is about; "" when it names none. */
    readonly field = ''
  ) {
    super(message);
  }

  /** Whether the server has no such route: it runs without its part. */
  get isMissing(): boolean {
    return this.kind === '' && this.status === 404;
  }
}

/** HTTP status of a server that does not answer itself. */
const UNAVAILABLE = 503;

/** Milliseconds in which questions are answered by a server that lives; what it does may last. */
const PATIENCE = 30_000;

/** What a new session is to be; what is left out is filled from its preset. */
export interface IWish {
  readonly preset: string;
  readonly name?: string;
  readonly image?: string;
  readonly durable?: boolean;
  readonly resources?: Readonly<Record<string, string>>;
  readonly environ?: Readonly<Record<string, string>>;
  readonly mounts?: readonly string[];
  readonly group?: string;
  /** Seconds after which it ends when nobody uses it. */
  readonly idleTimeout?: number;
  /** Its working folder, below the server's root. */
  readonly folder?: string;
}

/** The server's part, as the browser sees it. */
export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /**
   * The version of the server's part; null when it is not there.
   *
   * Rejects when the server does not answer.
   */
  async version(): Promise<string | null> {
    const body = await this.find('');
    return body === null ? null : text(body['manager']);
  }

  /** Ask Jupyter who this user is; rejects when nobody is logged in. */
  async knowMe(): Promise<void> {
    await this.request('GET', URLExt.join(this.settings.baseUrl, 'api/me'));
  }

  /** This user's sessions that live, newest first. */
  async live(): Promise<ISession[]> {
    return this.list(`limit=${PAGE}`);
  }

  /** This user's last sessions that ended. */
  async ended(): Promise<ISession[]> {
    return this.list(`all=true&limit=${ENDED}&status=${[...FINAL].join(',')}`);
  }

  /** A session of this user; null when there is none of this id. */
  async session(id: string): Promise<ISession | null> {
    const body = await this.find(`session/${encodeURIComponent(id)}`);
    return body === null ? null : readSession(body);
  }

  /** What can be started. */
  async offers(): Promise<IOffer[]> {
    return objects((await this.ask('GET', 'api/offers'))['items']).map(readOffer);
  }

  /** What this user may still ask for, in a group; "" is the usual one. */
  async limits(group: string): Promise<ILimits> {
    const query = group === '' ? '' : `?group=${encodeURIComponent(group)}`;
    return readLimits(await this.ask('GET', `api/limits${query}`));
  }

  /** How the server's part is. */
  async health(): Promise<IHealth> {
    return readHealth(await this.ask('GET', 'api/health'));
  }

  /** Ask for a new session; resolves to its id as soon as the wish is written down. */
  async create(wish: IWish): Promise<string> {
    const { name, resources, environ, mounts, ...rest } = wish;
    const config = { resources: resources ?? null, environ: environ ?? null, mounts: mounts ?? null };
    const named = { clientSessionToken: name ?? null, reuseIfExists: false, enqueueOnly: true };
    const reply = await this.ask('POST', 'session', { ...rest, config, ...named } as JSONObject);
    return text(reply['sessionId']);
  }

  /** Have a fresh kernel in a session. */
  async restart(id: string): Promise<void> {
    await this.ask('PATCH', path(id), {});
  }

  /** End a session; resolves when nothing is left of it. */
  async destroy(id: string): Promise<void> {
    await this.ask('DELETE', path(id));
  }

  /** Stop a session's clock. */
  async suspend(id: string): Promise<void> {
    await this.ask('POST', `api/${path(id)}/suspend`, {});
  }

  /** Let a session go on that was suspended. */
  async resume(id: string): Promise<void> {
    await this.ask('POST', `api/${path(id)}/resume`, {});
  }

  /** Keep a session for so many seconds from now, though nobody uses it. */
  async extend(id: string, seconds: number): Promise<void> {
    await this.ask('POST', `api/${path(id)}/extend`, { seconds });
  }

  /** Have a session be called otherwise. */
  async rename(id: string, name: string): Promise<void> {
    await this.ask('POST', `${path(id)}/rename`, { name });
  }

  /** The last lines that a session wrote, also after its end. */
  async log(id: string): Promise<string> {
    const body = await this.ask('GET', `${path(id)}/logs`);
    return text(object(body['result'])['logs']);
  }

  /** What a session's kernel was asked to execute, the newest last; null when it is none of ours. */
  async executions(id: string): Promise<IExecution[] | null> {
    const body = await this.find(`${path(id)}/executions`);
    return body === null ? null : objects(body['items']).map(readExecution);
  }

  /** Services of a session, as they are now. */
  async services(id: string): Promise<IService[]> {
    const body = await this.ask('GET', `api/${path(id)}/services`);
    return objects(body['items']).map(readService);
  }

  /** Where a session is told about, below the host. */
  path(id: string): string {
    return URLExt.join(new URL(this.settings.baseUrl).pathname, ROOT, path(id));
  }

  /** The URL of a path on this server. */
  url(at: string): string {
    const { origin } = new URL(this.settings.baseUrl);
    return new URL(at, origin).href;
  }

  /** GET an object; null for 404. */
  private async find(at: string): Promise<JSONObject | null> {
    try {
      return await this.ask('GET', at);
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) {
        return null;
      }
      throw error;
    }
  }

  private async list(query: string): Promise<ISession[]> {
    return objects((await this.ask('GET', `session?${query}`))['items']).map(readSession);
  }

  private async ask(method: string, at: string, body?: JSONObject): Promise<JSONObject> {
    return this.request(method, URLExt.join(this.settings.baseUrl, ROOT, at), body);
  }

  private async request(method: string, url: string, body?: JSONObject): Promise<JSONObject> {
    const init: RequestInit = method === 'GET' ? { signal: AbortSignal.timeout(PATIENCE) } : { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (response.redirected) {
      // None of our routes sends elsewhere. A hub does, to pages of its own, while it stops or
      // starts the server.
      throw new Refusal(response.statusText, UNAVAILABLE);
    }
    const answer = await read(response);
    if (!response.ok) {
      const said = text(answer['msg']) || text(answer['message']) || response.statusText;
      const words = said || `HTTP ${response.status}`; // over HTTP/2 statuses have no text
      const kind = text(answer['type']).replace(/^.*\//, '');
      throw new Refusal(words, response.status, kind, text(object(answer['data'])['field']));
    }
    return answer;
  }
}

function path(id: string): string {
  return `session/${encodeURIComponent(id)}`;
}

/** Read an answer's object; what is none of ours reads as empty. */
async function read(response: Response): Promise<JSONObject> {
  try {
    const body = (await response.json()) as JSONValue;
    return isObject(body) ? body : {};
  } catch {
    return {}; // nothing, or the page of something between us and the server
  }
}
