/** What this user chose; `schema/settings.json` says what each means. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

/** What can be chosen; times in seconds. */
export interface ISettings {
  readonly launcherSection: boolean;
  /** Name of a preset; "": the one that was chosen last. */
  readonly defaultPreset: string;
  readonly openWith: 'notebook' | 'console';
  readonly startNotices: boolean;
  readonly startPatience: number;
  readonly refreshInterval: number;
  readonly reattachOutput: boolean;
  readonly statusBar: boolean;
}

/** What holds until the user's choices are there, or where nothing keeps them; as the schema. */
const DEFAULTS: ISettings = {
  launcherSection: true,
  defaultPreset: '',
  openWith: 'notebook',
  startNotices: true,
  startPatience: 0.7,
  refreshInterval: 10,
  reattachOutput: true,
  statusBar: true
};

/** Knows the settings, live. */
export class Settings {
  /** Settings of the plugin with this id, which has the schema. */
  constructor(registry: ISettingRegistry | null, id: string) {
    this.ready = registry === null ? Promise.resolve() : this.load(registry, id);
  }

  /** Resolves when the user's choices are known, or are found not to be kept anywhere. */
  readonly ready: Promise<void>;

  /** What is chosen now. */
  get now(): ISettings {
    return this._now;
  }

  /** Emitted when something else was chosen. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  private async load(registry: ISettingRegistry, id: string): Promise<void> {
    try {
      const settings = await registry.load(id);
      const read = () => {
        this._now = readSettings(settings.composite);
        this._changed.emit();
      };
      settings.changed.connect(read);
      read();
    } catch (error) {
      console.warn('jupyter-sessmgr: settings are not kept here.', error);
    }
  }

  private _now = DEFAULTS;
  private readonly _changed = new Signal<this, void>(this);
}

/** Read settings; the registry has checked them against the schema. */
function readSettings(composite: ReadonlyPartialJSONObject): ISettings {
  const known = Object.entries(DEFAULTS).map(([key, usual]) => {
    const value = composite[key];
    return [key, typeof value === typeof usual ? value : usual];
  });
  return Object.fromEntries(known) as ISettings;
}
