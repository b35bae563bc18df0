/** What the server says that this user may still ask for. */

import type { JSONObject } from '@lumino/coreutils';

import { numberOrNull, object, objects, text, texts } from '../json';

/** How much of one thing a session may have; null: any amount, or not known. */
export interface ISpan {
  readonly least: number;
  readonly most: number | null;
  /** What this user's sessions leave of what they may have. */
  readonly left: number | null;
  readonly used: number;
  /** What the machine has. */
  readonly there: number | null;
}

/** A preset of which a session can be made now. */
export interface IPreset {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly image: string;
  readonly hasKernel: boolean;
  /** Whether it sees the notebook's folder. */
  readonly notebookFolder: boolean;
  /** What a session of it has when nothing else is asked for. */
  readonly cpu: number | null;
  readonly memory: number | null;
  readonly devices: Readonly<Record<string, number>>;
}

/** An image that may be asked for, and what it needs and takes. */
export interface IImage {
  readonly name: string;
  readonly leastCpu: number | null;
  readonly mostCpu: number | null;
  readonly leastMemory: number | null;
  readonly mostMemory: number | null;
}

/** What this user may still ask for; memory in bytes, times in seconds. */
export interface ILimits {
  readonly group: string;
  /** The user's groups; empty: there are none to choose from. */
  readonly groups: readonly string[];
  readonly mostSessions: number | null;
  readonly sessions: number;
  readonly cpu: ISpan;
  readonly memory: ISpan;
  readonly devices: Readonly<Record<string, ISpan>>;
  readonly shortestIdle: number;
  /** Longest idle timeout of durable sessions, and of others; null: any. */
  readonly durableIdle: number | null;
  readonly interactiveIdle: number | null;
  readonly presets: readonly IPreset[];
  readonly images: readonly IImage[];
  readonly mounts: readonly { readonly name: string; readonly writable: boolean }[];
  /** Whether a session may have a folder of this server as its working folder. */
  readonly folders: boolean;
}

/** Read what the server says. */
export function readLimits(body: JSONObject): ILimits {
  const sessions = object(body['sessions']);
  const idle = object(body['idleTimeout']);
  return {
    group: text(body['group']),
    groups: texts(body['groups']),
    mostSessions: numberOrNull(sessions['most']),
    sessions: numberOrNull(sessions['used']) ?? 0,
    cpu: readSpan(object(body['cpu'])),
    memory: readSpan(object(body['mem'])),
    devices: mapped(object(body['devices']), span => readSpan(object(span))),
    shortestIdle: numberOrNull(idle['least']) ?? 0,
    durableIdle: numberOrNull(idle['durable']),
    interactiveIdle: numberOrNull(idle['interactive']),
    presets: objects(body['presets']).map(readPreset),
    images: objects(body['images']).map(readImage),
    mounts: objects(body['mounts']).map(one => ({
      name: text(one['name']),
      writable: one['writable'] === true
    })),
    folders: body['folders'] === true
  };
}

function readSpan(body: JSONObject): ISpan {
  return {
    least: numberOrNull(body['least']) ?? 0,
    most: numberOrNull(body['most']),
    left: numberOrNull(body['left']),
    used: numberOrNull(body['used']) ?? 0,
    there: numberOrNull(body['there'])
  };
}

function readPreset(body: JSONObject): IPreset {
  const usual = object(body['usual']);
  return {
    name: text(body['name']),
    title: text(body['title']),
    description: text(body['description']),
    image: text(body['image']),
    hasKernel: text(body['kernel']) !== '',
    notebookFolder: body['notebookFolder'] === true,
    cpu: numberOrNull(usual['cpu']),
    memory: numberOrNull(usual['mem']),
    devices: mapped(object(usual['devices']), count => numberOrNull(count) ?? 0)
  };
}

function readImage(body: JSONObject): IImage {
  return {
    name: text(body['name']),
    leastCpu: numberOrNull(body['leastCpu']),
    mostCpu: numberOrNull(body['mostCpu']),
    leastMemory: numberOrNull(body['leastMem']),
    mostMemory: numberOrNull(body['mostMem'])
  };
}

function mapped<T>(body: JSONObject, read: (value: JSONObject[string]) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(body).map(([key, value]) => [key, read(value)]));
}
