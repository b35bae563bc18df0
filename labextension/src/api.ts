/** Everything that is asked of the server. The one file that fetches. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { JSONObject, JSONValue, PartialJSONValue } from '@lumino/coreutils';

import { ISession, ROOT } from './tokens';

/** The server's part, as the browser sees it. */
export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /**
   * The version of the server's part; null when it is not there.
   *
   * Rejects when the server does not answer.
   */
  async version(): Promise<string | null> {
    const body = await this.get('');
    return body === null ? null : text(body['manager']);
  }

  /** A session of this user; null when there is none of this id. */
  async session(id: string): Promise<ISession | null> {
    const body = await this.get(`session/${encodeURIComponent(id)}`);
    if (body === null) {
      return null;
    }
    return {
      name: text(body['sessionName'] ?? body['sessId']),
      status: text(body['status']),
      info: text(body['statusInfo'])
    };
  }

  /** GET an object; null for 404. */
  private async get(path: string): Promise<JSONObject | null> {
    const url = URLExt.join(this.settings.baseUrl, ROOT, path);
    const response = await ServerConnection.makeRequest(url, { method: 'GET' }, this.settings);
    if (response.status === 404) {
      return null;
    }
    if (!response.ok) {
      throw await ServerConnection.ResponseError.create(response);
    }
    const body = (await response.json()) as JSONValue;
    return isObject(body) ? body : {};
  }
}

function isObject(value: PartialJSONValue | undefined): value is JSONObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: PartialJSONValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
