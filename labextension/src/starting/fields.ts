/** What stands in the form of a new session, what may stand there, and what is wrong. Pure. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IWish } from '../api';
import { NAME } from '../tokens';
import type { ILimits, ISpan } from './limits';

const GIB = 2 ** 30;
const MINUTE = 60;

const VARIABLE = /^\s*[A-Za-z_]\w*=/;

/** How what was made is opened. */
export type Opening = 'notebook' | 'console' | 'nothing';

/** What stands in the form: numbers as they were typed, "" for what was left to the preset. */
export interface IFields {
  readonly group: string;
  readonly preset: string;
  readonly image: string;
  readonly cpu: string;
  /** GiB. */
  readonly memory: string;
  readonly devices: Readonly<Record<string, string>>;
  readonly mounts: readonly string[];
  readonly environ: string;
  readonly name: string;
  /** Minutes. */
  readonly idle: string;
  readonly durable: boolean;
  readonly opening: Opening;
}

/** What a field of numbers takes. */
export interface IBounds {
  readonly min: number;
  /** null: any. */
  readonly max: number | null;
  readonly step: number;
  /** What there is when nothing is entered; null: no limit. */
  readonly usual: number | null;
  /** What is left and what there is, in words. */
  readonly hint: string;
}

/** Names of the fields that numbers are entered in: `cpu`, `memory`, `idle`, or a slot's. */
export type Bounds = Readonly<Record<string, IBounds>>;

/** What is wrong, a sentence by field. */
export type Troubles = Readonly<Record<string, string>>;

/** Fill the form: what was chosen last, as far as there is still such a thing. */
export function firstFields(
  limits: ILimits,
  last: Partial<IFields>,
  preset: string,
  opening: Opening
): IFields {
  const has = (name: string | undefined) => limits.presets.some(one => one.name === name);
  const wanted = [preset, last.preset].find(has) ?? limits.presets[0]?.name ?? '';
  const mounts = limits.mounts.map(one => one.name);
  const images = limits.images.map(one => one.name);
  const own = last.preset === wanted ? last : {}; // amounts make sense for the preset they were for
  const slots = Object.entries(own.devices ?? {});
  return {
    group: limits.group,
    preset: wanted,
    image: images.includes(own.image ?? '') ? (own.image ?? '') : '',
    cpu: own.cpu ?? '',
    memory: own.memory ?? '',
    devices: Object.fromEntries(slots.filter(([slot]) => slot in limits.devices)),
    mounts: (last.mounts ?? []).filter(name => mounts.includes(name)),
    environ: '',
    name: '',
    idle: own.idle ?? '',
    durable: last.durable ?? true,
    opening: last.opening ?? opening
  };
}

/** What was entered for one group, as far as another has the same: nothing unseen may be sent. */
export function regrouped(fields: IFields, limits: ILimits): IFields {
  const { preset, opening, environ, name } = fields;
  return { ...firstFields(limits, fields, preset, opening), environ, name };
}

/** What is remembered of a form; no name, which is taken then, and no values of the environment. */
export function lasting(fields: IFields): Partial<IFields> {
  const { name: _name, environ: _environ, group: _group, ...rest } = fields;
  return rest;
}

/** Say what the fields of numbers take. */
export function boundsOf(fields: IFields, limits: ILimits, trans: TranslationBundle): Bounds {
  const preset = limits.presets.find(one => one.name === fields.preset);
  const named = fields.image || preset?.image || '';
  const image = limits.images.find(one => whole(one.name) === whole(named));
  const most = fields.durable ? limits.durableIdle : limits.interactiveIdle;
  const slots = Object.entries(limits.devices).map(([slot, span]) => {
    const left = leftOf(span, 1, trans, trans.__('devices'));
    const usual = preset?.devices[slot] ?? 0;
    return [slot, { ...amounts(span, null, null, 1, 1), usual, hint: left }];
  });
  return {
    ...(Object.fromEntries(slots) as Bounds),
    cpu: {
      ...amounts(limits.cpu, image?.leastCpu, image?.mostCpu, 1, 0.25),
      usual: preset?.cpu ?? null,
      hint: leftOf(limits.cpu, 1, trans, trans.__('processors'))
    },
    memory: {
      ...amounts(limits.memory, image?.leastMemory, image?.mostMemory, GIB, 0.25),
      usual: preset?.memory ? preset.memory / GIB : null,
      hint: leftOf(limits.memory, GIB, trans, 'GiB')
    },
    idle: {
      min: Math.ceil(limits.shortestIdle / MINUTE),
      max: most === null ? null : Math.max(Math.floor(most / MINUTE), 1),
      step: 1,
      usual: most === null ? null : most / MINUTE,
      hint:
        most === null
          ? trans.__('Left empty: it never ends by itself')
          : trans.__('Left empty: after %1 minutes, which is the longest here', round(most / MINUTE))
    }
  };
}

/** Say what is wrong with what was entered; no key for what is right. */
export function troublesOf(fields: IFields, bounds: Bounds, trans: TranslationBundle): Troubles {
  const numbers: Record<string, string> = {
    ...fields.devices,
    cpu: fields.cpu,
    memory: fields.memory,
    idle: fields.idle
  };
  const found = Object.entries(bounds).map(([name, one]) => [
    name,
    numberTrouble(numbers[name] ?? '', one, trans)
  ]);
  found.push(['name', nameTrouble(fields.name, trans)]);
  found.push(['environ', environTrouble(fields.environ, trans)]);
  return Object.fromEntries(found.filter(([, words]) => words !== '')) as Troubles;
}

/** Make a wish of what was entered. */
export function readWish(fields: IFields, folder: string | null): IWish {
  const { group, preset, image, cpu, memory, mounts, environ, name, idle, durable } = fields;
  const devices = Object.entries(fields.devices).filter(([, count]) => count !== '');
  return {
    preset,
    durable,
    mounts,
    resources: {
      ...(cpu === '' ? {} : { cpu }),
      ...(memory === '' ? {} : { mem: String(Math.round(Number(memory) * GIB)) }),
      ...Object.fromEntries(devices)
    },
    environ: readEnviron(environ),
    ...(group === '' ? {} : { group }),
    ...(image === '' ? {} : { image }),
    ...(name === '' ? {} : { name }),
    ...(idle === '' ? {} : { idleTimeout: Number(idle) * MINUTE }),
    ...(folder === null ? {} : { folder })
  };
}

/** Read lines of `NAME=value`. */
function readEnviron(lines: string): Record<string, string> {
  const pairs = lines
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const [name = '', ...rest] = line.split('=');
      return [name.trim(), rest.join('=')] as const;
    });
  return Object.fromEntries(pairs);
}

function environTrouble(lines: string, trans: TranslationBundle): string {
  const said = lines.split('\n').filter(line => line.trim() !== '');
  const bad = said.find(line => !VARIABLE.test(line));
  if (bad !== undefined) {
    return trans.__('This is not of the form NAME=value: %1', [...bad].slice(0, 60).join(''));
  }
  const names = said.map(line => line.split('=', 1)[0]?.trim() ?? '');
  const twice = names.find((name, index) => names.indexOf(name) < index);
  return twice === undefined ? '' : trans.__('%1 is there twice.', twice);
}

function nameTrouble(name: string, trans: TranslationBundle): string {
  if (name === '' || NAME.test(name)) {
    return '';
  }
  const odd = [...name].find(letter => !/[A-Za-z0-9._-]/.test(letter));
  if (odd !== undefined) {
    return trans.__(
      'A name cannot have “%1” in it: use letters from a to z, digits, dots, hyphens and underscores.',
      odd === ' ' ? trans.__('a space') : visible(odd)
    );
  }
  return name.length < 4 || name.length > 64
    ? trans.__('A name has 4 to 64 characters; this one has %1.', name.length)
    : trans.__('A name begins and ends with a letter or a digit.');
}

/** A character, or its number where it cannot be seen. */
function visible(letter: string): string {
  const code = letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0') ?? '';
  return /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(letter) ? letter : `U+${code}`;
}

function numberTrouble(value: string, bounds: IBounds, trans: TranslationBundle): string {
  const { min, max, step, usual } = bounds;
  if (value === '') {
    return usual !== null && max !== null && usual > max
      ? trans.__('Left empty, it would be %1, and there is room for %2.', round(usual), round(max))
      : '';
  }
  const number = Number(value);
  if (!Number.isFinite(number)) {
    return trans.__('This is not a number.');
  }
  if (max !== null && number > max) {
    return trans.__('%1 is too much: you can have at most %2.', round(number), round(max));
  }
  if (number < min) {
    return trans.__('%1 is too little: it takes at least %2.', round(number), round(min));
  }
  const steps = (number - min) / step;
  return Math.abs(steps - Math.round(steps)) > 1e-6
    ? trans.__('Enter a multiple of %1.', step)
    : '';
}

/** Bounds of a span in another unit; even where the least is odd, steps are even. */
function amounts(
  span: ISpan,
  imageLeast: number | null | undefined,
  imageMost: number | null | undefined,
  unit: number,
  step: number
): Pick<IBounds, 'min' | 'max' | 'step'> {
  const even = (amount: number, to: (amount: number) => number) => to(amount / unit / step) * step;
  const tops = [span.most, span.left, imageMost ?? null].filter(one => one !== null);
  const max = tops.length === 0 ? null : even(Math.min(...tops), Math.floor);
  return { min: even(Math.max(span.least, imageLeast ?? 0), Math.ceil), max, step };
}

function leftOf(span: ISpan, unit: number, trans: TranslationBundle, of: string): string {
  const machine = span.there === null ? '' : trans.__('the machine has %1', round(span.there / unit));
  const isTighter = span.most !== null && (span.left === null || span.most < span.left);
  const most = isTighter ? trans.__('at most %1', round((span.most ?? 0) / unit)) : '';
  const left =
    span.left === null
      ? ''
      : trans.__('%1 of %2 %3 left', round(span.left / unit), round((span.left + span.used) / unit), of);
  return [most, left, machine].filter(words => words !== '').join('; ');
}

/** An image's name in full. */
function whole(image: string): string {
  return /:[^/]*$|@/.test(image) ? image : `${image}:latest`;
}

function round(amount: number): string {
  return String(Math.round(amount * 100) / 100);
}
