/** Reads JSON of which nothing is certain. */

import type { JSONObject, PartialJSONValue } from '@lumino/coreutils';

type Value = PartialJSONValue | undefined;

export function isObject(value: Value): value is JSONObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function text(value: Value): string {
  return typeof value === 'string' ? value : '';
}

export function textOrNull(value: Value): string | null {
  return typeof value === 'string' ? value : null;
}

export function numberOrNull(value: Value): number | null {
  return typeof value === 'number' ? value : null;
}

export function object(value: Value): JSONObject {
  return isObject(value) ? value : {};
}

/** The objects of a list; what else stands in it is left out. */
export function objects(value: Value): JSONObject[] {
  return Array.isArray(value) ? (value as PartialJSONValue[]).filter(isObject) : [];
}

export function texts(value: Value): string[] {
  return Array.isArray(value) ? value.filter(one => typeof one === 'string') : [];
}
