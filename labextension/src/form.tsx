/** The dialog that asks what a new session is to be. */

import { Dialog, ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useState } from 'react';

import type { IWish } from './api';
import type { IOffer } from './tokens';

const NAME = '[A-Za-z0-9][A-Za-z0-9._\\-]{2,62}[A-Za-z0-9]';

/** What stands in the form. */
interface IFields {
  preset: string;
  name: string;
  cpu: string;
  memory: string;
  environ: string;
  durable: boolean;
}

/** The form, as the body of a dialog. */
export class SessionForm extends ReactWidget implements Dialog.IBodyWidget<IWish | null> {
  constructor(
    private readonly offers: readonly IOffer[],
    preset: string,
    private readonly trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-sessmgr-form');
    const first = offers.some(one => one.preset === preset) ? preset : (offers[0]?.preset ?? '');
    this.fields = { preset: first, name: '', cpu: '', memory: '', environ: '', durable: true };
  }

  /** The wish; null when what was entered cannot be one. */
  getValue(): IWish | null {
    const form = this.node.querySelector('form');
    return form !== null && form.reportValidity() ? readWish(this.fields) : null;
  }

  protected override render(): JSX.Element {
    return <Fields offers={this.offers} fields={this.fields} trans={this.trans} />;
  }

  private readonly fields: IFields;
}

/** Make a wish of what was entered. */
export function readWish(fields: Readonly<IFields>): IWish {
  const { preset, name, cpu, memory, environ, durable } = fields;
  const resources = {
    ...(cpu === '' ? {} : { cpu }),
    ...(memory === '' ? {} : { mem: `${memory}g` })
  };
  return {
    preset,
    durable,
    ...(name === '' ? {} : { name }),
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
    ...(environ.trim() === '' ? {} : { environ: readEnviron(environ) })
  };
}

/** Read lines of `NAME=value`. */
export function readEnviron(lines: string): Record<string, string> {
  const pairs = lines
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const [name = '', ...rest] = line.split('=');
      return [name.trim(), rest.join('=')] as const;
    });
  return Object.fromEntries(pairs);
}

/** Say what is wrong with lines of `NAME=value`; "" when nothing is. */
export function environTrouble(lines: string, trans: TranslationBundle): string {
  const bad = lines
    .split('\n')
    .find(line => line.trim() !== '' && !/^\s*[A-Za-z_]\w*=/.test(line));
  return bad === undefined ? '' : trans.__('Not of the form NAME=value: %1', bad.slice(0, 60));
}

interface IProps {
  readonly offers: readonly IOffer[];
  readonly fields: IFields;
  readonly trans: TranslationBundle;
}

function Fields({ offers, fields, trans }: IProps): JSX.Element {
  const [, redraw] = useState(0);
  const set = (changes: Partial<IFields>) => {
    Object.assign(fields, changes);
    redraw(count => count + 1);
  };
  const offer = offers.find(one => one.preset === fields.preset);
  const usual = (slot: string) => offer?.resources[slot] ?? trans.__('as the preset says');
  return (
    <form onSubmit={event => event.preventDefault()}>
      <Preset offers={offers} fields={fields} set={set} trans={trans} />
      <Field label={trans.__('Name')} hint={trans.__('Left empty: one is made up')}>
        <input
          className="jp-mod-styled"
          pattern={NAME}
          title={trans.__('4 to 64 letters, digits, dots, hyphens and underscores')}
          value={fields.name}
          onChange={event => set({ name: event.target.value })}
        />
      </Field>
      <Field label={trans.__('Processors')}>
        <Amount
          value={fields.cpu}
          step="0.5"
          usual={usual('cpu')}
          set={cpu => set({ cpu })}
        />
      </Field>
      <Field label={trans.__('Memory in GiB')}>
        <Amount
          value={fields.memory}
          step="0.25"
          usual={usual('mem')}
          set={memory => set({ memory })}
        />
      </Field>
      <Field label={trans.__('Environment')} hint={trans.__('One NAME=value a line')}>
        <textarea
          className="jp-mod-styled"
          rows={2}
          value={fields.environ}
          onChange={event => {
            event.target.setCustomValidity(environTrouble(event.target.value, trans));
            set({ environ: event.target.value });
          }}
        />
      </Field>
      <label className="jp-sessmgr-check">
        <input
          type="checkbox"
          checked={fields.durable}
          onChange={event => set({ durable: event.target.checked })}
        />
        {trans.__('Goes on when this server stops (durable)')}
      </label>
    </form>
  );
}

function Preset(props: IProps & { set: (changes: Partial<IFields>) => void }): JSX.Element {
  const { offers, fields, set, trans } = props;
  const offer = offers.find(one => one.preset === fields.preset);
  return (
    <Field label={trans.__('Preset')} hint={offer?.description ?? ''}>
      <select
        className="jp-mod-styled"
        value={fields.preset}
        onChange={event => set({ preset: event.target.value })}
      >
        {offers.map(one => (
          <option key={one.preset} value={one.preset}>
            {one.title}
          </option>
        ))}
      </select>
    </Field>
  );
}

function Field(props: { label: string; hint?: string; children: React.ReactNode }): JSX.Element {
  return (
    <label className="jp-sessmgr-field">
      <span>{props.label}</span>
      {props.children}
      {props.hint ? <small>{props.hint}</small> : null}
    </label>
  );
}

function Amount(props: {
  value: string;
  step: string;
  usual: string;
  set: (value: string) => void;
}): JSX.Element {
  return (
    <input
      className="jp-mod-styled"
      type="number"
      min={props.step}
      step={props.step}
      placeholder={props.usual}
      value={props.value}
      onChange={event => props.set(event.target.value)}
    />
  );
}
