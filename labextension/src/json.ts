/** Reads JSON of which nothing is certain. */

import type { JSONObject } from '@lumino/coreutils';

/** Whether a value is an object, and neither null nor a list. */
export function isObject(value: unknown): value is JSONObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text; "" for anything else. */
export function text(value: unknown): string {
  return textOrNull(value) ?? '';
}

/** A text; null for anything else. */
export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A number; null for anything else. */
export function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

/** An object; an empty one for anything else. */
export function object(value: unknown): JSONObject {
  return isObject(value) ? value : {};
}

/** The objects of a list; what else stands in it is left out. */
export function objects(value: unknown): JSONObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** The texts of a list; what else stands in it is left out. */
export function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(one => typeof one === 'string') : [];
}
