/** The form of a new session, without its looks. */

import type { TranslationBundle } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';

import { Bounds, boundsOf, IFields, regrouped, Troubles, troublesOf } from './fields';
import type { ILimits } from './limits';

/** The server's names of fields, where ours are others. */
const FIELDS: Readonly<Record<string, string>> = { mem: 'memory', idleTimeout: 'idle' };

/** What is entered, what may be, and what the server said of it. */
export class FormModel {
  constructor(
    private _limits: ILimits,
    private _fields: IFields,
    /** Where the session is to work; null: nowhere on this server. */
    readonly folder: string | null,
    private readonly trans: TranslationBundle
  ) {}

  /** Emitted when anything changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get limits(): ILimits {
    return this._limits;
  }

  set limits(limits: ILimits) {
    this._limits = limits;
    this._fields = regrouped(this._fields, limits);
    this._changed.emit();
  }

  get fields(): IFields {
    return this._fields;
  }

  get bounds(): Bounds {
    return boundsOf(this._fields, this._limits, this.trans);
  }

  /** What is wrong, a sentence by field. */
  get troubles(): Troubles {
    return troublesOf(this._fields, this.bounds, this.trans);
  }

  /** Why the server refused what was entered; "" when it did not. */
  get refusal(): string {
    return this._refusal;
  }

  /** The field that it refused; "" when it named none, or it was changed since. */
  get refused(): string {
    return this._refused;
  }

  /** Whether the server is being asked. */
  get isBusy(): boolean {
    return this._busy;
  }

  /** The working folder; null where the preset has none, or the user may not. */
  get workdir(): string | null {
    const preset = this._limits.presets.find(one => one.name === this._fields.preset);
    return preset?.notebookFolder && this._limits.folders ? this.folder : null;
  }

  /** Enter something. */
  set(changes: Partial<IFields>): void {
    this._fields = { ...this._fields, ...changes };
    if (this._refused in changes) {
      this._refused = '';
    }
    this._changed.emit();
  }

  /** The server is being asked. */
  ask(): void {
    this._busy = true;
    this._refusal = this._refused = '';
    this._changed.emit();
  }

  /** The server refused: say why, keep what was entered. */
  refuse(words: string, field = ''): void {
    this._busy = false;
    this._refusal = words;
    this._refused = FIELDS[field] ?? field;
    this._changed.emit();
  }

  private _busy = false;
  private _refusal = '';
  private _refused = '';
  private readonly _changed = new Signal<this, void>(this);
}
