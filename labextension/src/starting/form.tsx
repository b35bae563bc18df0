/** The form that asks what a new session is to be. */

import { ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useId, useReducer, useRef } from 'react';

import { shortImage } from '../words';
import type { IFields, Opening } from './fields';
import type { FormModel } from './model';

/** What the parts of the form work with. */
interface IProps {
  readonly model: FormModel;
  readonly trans: TranslationBundle;
  /** Called for the limits of another group. */
  readonly regroup: (group: string) => Promise<void>;
}

/** The form, as the body of a dialog. */
export class SessionForm extends ReactWidget {
  constructor(private readonly props: IProps) {
    super();
    this.addClass('jp-sessmgr-form');
  }

  protected override render(): JSX.Element {
    return <Form {...this.props} />;
  }
}

function Form(props: IProps): JSX.Element {
  const { model, trans } = props;
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    model.changed.connect(redraw);
    return () => void model.changed.disconnect(redraw);
  }, [model]);
  // The dialog looks for what is not valid when something is entered, which is before it is drawn.
  useEffect(() => void form.current?.dispatchEvent(new Event('input', { bubbles: true })));
  return (
    <form ref={form} noValidate aria-busy={model.isBusy} onSubmit={event => event.preventDefault()}>
      <Refusal {...props} />
      <Kind {...props} />
      {/* Another group may have other amounts, which inputs take over only when they are new. */}
      <div className="jp-sessmgr-amounts" key={model.limits.group}>
        <Amount {...props} name="cpu" label={trans.__('Processors')} />
        <Amount {...props} name="memory" label={trans.__('Memory in GiB')} />
        {Object.keys(model.limits.devices).map(slot => (
          <Amount {...props} key={slot} name={slot} label={deviceWord(slot, trans)} />
        ))}
        <Amount {...props} name="idle" label={trans.__('Idle timeout (minutes)')} />
        <Name {...props} />
      </div>
      <Environment {...props} />
      <Mounts {...props} />
      <Choices {...props} />
    </form>
  );
}

/** What the server said, or would say. */
function Refusal({ model, trans }: IProps): JSX.Element {
  const { mostSessions, sessions } = model.limits;
  const full = mostSessions !== null && sessions >= mostSessions;
  const words =
    model.refusal ||
    (full && trans.__('You have %1 of %2 sessions: stop one first.', sessions, mostSessions));
  return (
    <div role="alert" className="jp-sessmgr-refusal" hidden={!words}>
      {words}
    </div>
  );
}

/** Group, preset and image. */
function Kind({ model, trans, regroup }: IProps): JSX.Element {
  const { fields, limits } = model;
  const preset = limits.presets.find(one => one.name === fields.preset);
  const usual = trans.__('As the preset says: %1', shortImage(preset?.image ?? ''));
  const where = model.workdir === null ? '' : trans.__('Its working folder is /%1.', model.workdir);
  return (
    <>
      {limits.groups.length > 1 && (
        <Select
          label={trans.__('Group')}
          value={fields.group}
          options={limits.groups.map(one => [one, one])}
          wrong={model.refused === 'group'}
          choose={group => void regroup(group)}
        />
      )}
      <Select
        label={trans.__('Preset')}
        hint={[preset?.description, where].filter(Boolean).join(' ')}
        value={fields.preset}
        options={limits.presets.map(one => [one.name, one.title])}
        wrong={model.refused === 'preset'}
        choose={name => model.set({ preset: name })}
      />
      {limits.images.length > 1 && (
        <Select
          label={trans.__('Image')}
          value={fields.image}
          options={[['', usual], ...limits.images.map(one => [one.name, one.name] as const)]}
          wrong={model.refused === 'image'}
          choose={image => model.set({ image })}
        />
      )}
    </>
  );
}

/** A number between bounds. */
function Amount(props: IProps & { name: string; label: string }): JSX.Element {
  const { model, trans, name, label } = props;
  const bounds = model.bounds[name];
  const own = name === 'cpu' || name === 'memory' || name === 'idle';
  const value = own ? model.fields[name] : (model.fields.devices[name] ?? '');
  const set = (entered: string) =>
    model.set(own ? { [name]: entered } : { devices: { ...model.fields.devices, [name]: entered } });
  const { usual, hint, min, max, step } = bounds ?? { usual: null, hint: '', min: 0, max: null, step: 1 };
  return (
    <Field label={label} hint={hint} trouble={model.troubles[name]} wrong={model.refused === name}>
      {attributes => (
        <input
          {...attributes}
          type="number"
          min={min}
          max={max ?? undefined}
          step={step}
          placeholder={usual === null ? trans.__('no limit') : String(Math.round(usual * 100) / 100)}
          // Not `value`: what is no number yet would be taken away while it is typed.
          defaultValue={value}
          // Not `onChange`, which tells nothing of what is no number, and has no value.
          onInput={({ currentTarget: { validity, value } }) => set(validity.badInput ? '?' : value)}
        />
      )}
    </Field>
  );
}

/** Folders that can be mounted. */
function Mounts({ model, trans }: IProps): JSX.Element | null {
  const { mounts } = model.limits;
  const chosen = new Set(model.fields.mounts);
  const toggle = (name: string, on: boolean) => {
    const others = model.fields.mounts.filter(one => one !== name);
    model.set({ mounts: on ? [...others, name] : others });
  };
  return mounts.length === 0 ? null : (
    <fieldset className="jp-sessmgr-mounts">
      <legend>{trans.__('Mounts')}</legend>
      {mounts.map(({ name, writable }) => (
        <Check
          key={name}
          label={writable ? name : trans.__('%1 (can only be read)', name)}
          value={chosen.has(name)}
          set={on => toggle(name, on)}
        />
      ))}
    </fieldset>
  );
}

function Name({ model, trans }: IProps): JSX.Element {
  return (
    <Field
      label={trans.__('Name')}
      hint={trans.__('Left empty: one is made up')}
      trouble={model.troubles['name']}
      wrong={model.refused === 'name'}
    >
      {attributes => (
        <input
          {...attributes}
          type="text"
          autoComplete="off"
          spellCheck={false}
          value={model.fields.name}
          onChange={event => model.set({ name: event.target.value })}
        />
      )}
    </Field>
  );
}

function Environment({ model, trans }: IProps): JSX.Element {
  return (
    <Field
      label={trans.__('Environment')}
      hint={trans.__('One NAME=value a line')}
      trouble={model.troubles['environ']}
      wrong={model.refused === 'environ'}
    >
      {attributes => (
        <textarea
          {...attributes}
          rows={2}
          spellCheck={false}
          value={model.fields.environ}
          onChange={event => model.set({ environ: event.target.value })}
        />
      )}
    </Field>
  );
}

/** How long it lasts, and what is opened on it. */
function Choices({ model, trans }: IProps): JSX.Element {
  const { fields, limits } = model;
  const hasKernel = limits.presets.find(one => one.name === fields.preset)?.hasKernel ?? false;
  const openings: [Opening, string][] = [
    ['notebook', trans.__('A notebook')],
    ['console', trans.__('A console')],
    ['nothing', trans.__('Nothing')]
  ];
  return (
    <>
      <Check
        label={trans.__('Keeps running when the Jupyter server stops (durable)')}
        value={fields.durable}
        set={durable => model.set({ durable })}
      />
      {hasKernel && (
        <Select
          label={trans.__('Open with')}
          value={fields.opening}
          options={openings}
          choose={opening => model.set({ opening: opening as IFields['opening'] })}
        />
      )}
    </>
  );
}

/** What an input is given so that its label, hint and trouble belong to it. */
interface IAttributes {
  readonly id: string;
  readonly className: string;
  readonly 'aria-describedby': string;
  readonly 'aria-invalid': boolean;
  readonly ref: (node: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement | null) => void;
}

/** A labelled input with what is said of it. */
function Field(props: {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly trouble?: string | undefined;
  /** Whether the server refused it. */
  readonly wrong?: boolean;
  readonly children: (attributes: IAttributes) => JSX.Element;
}): JSX.Element {
  const { label, hint = '', trouble = '', wrong = false, children } = props;
  const id = useId();
  const attributes: IAttributes = {
    id,
    className: 'jp-mod-styled',
    'aria-describedby': `${id}-hint ${id}-trouble`,
    'aria-invalid': trouble !== '' || wrong,
    ref: node => node?.setCustomValidity(trouble)
  };
  return (
    <div className="jp-sessmgr-field">
      <label htmlFor={id}>{label}</label>
      {children(attributes)}
      <small id={`${id}-hint`}>{hint}</small>
      <small id={`${id}-trouble`} className="jp-sessmgr-wrong" role="alert">
        {trouble}
      </small>
    </div>
  );
}

function Select(props: {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly options: readonly (readonly [string, string])[];
  readonly wrong?: boolean;
  readonly choose: (value: string) => void;
}): JSX.Element {
  const { label, hint, value, options, wrong = false, choose } = props;
  return (
    <Field label={label} hint={hint} wrong={wrong}>
      {attributes => (
        <select {...attributes} value={value} onChange={event => choose(event.target.value)}>
          {options.map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function Check(props: {
  readonly label: string;
  readonly value: boolean;
  readonly set: (value: boolean) => void;
}): JSX.Element {
  const id = useId();
  return (
    <div className="jp-sessmgr-check">
      <input
        id={id}
        type="checkbox"
        checked={props.value}
        onChange={event => props.set(event.target.checked)}
      />
      <label htmlFor={id}>{props.label}</label>
    </div>
  );
}

function deviceWord(slot: string, trans: TranslationBundle): string {
  return slot === 'cuda.device' ? trans.__('GPUs') : slot;
}
