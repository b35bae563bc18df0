/** What can be started, where people look for it: the launcher's section, and the palette. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { ILauncher } from '@jupyterlab/launcher';
import type { KernelSpec } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { DisposableSet } from '@lumino/disposable';

import { Api, Refusal } from '../api';
import { CommandIDs } from '../commands';
import type { Settings } from '../settings';
import type { IOffer } from '../tokens';
import { isRemote } from './picker';

/** Between Notebook (0) and Console (20). */
const CATEGORY_RANK = 10;

/** What the choices work with. */
interface INeeds {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly settings: Settings;
  readonly trans: TranslationBundle;
  readonly launcher: ILauncher | null;
  readonly palette: ICommandPalette | null;
}

/** An entry per preset, and a card for the form; as they come and go, and as the user wants them. */
export class Choices {
  constructor(private readonly needs: INeeds) {
    const { app, settings } = needs;
    const { kernelspecs } = app.serviceManager;
    settings.changed.connect(() => void this.renew());
    kernelspecs.specsChanged.connect((_, specs) => {
      if (remoteNames(specs) !== this.names) {
        void this.renew();
      }
    });
    void Promise.all([app.started, settings.ready, kernelspecs.ready]).then(() => this.renew());
  }

  /** Look anew at what there is to start. */
  async renew(): Promise<void> {
    const turn = ++this.turn;
    const offers = await this.find();
    if (turn !== this.turn) {
      return; // overtaken
    }
    const { app, launcher, palette, settings } = this.needs;
    const { specs } = app.serviceManager.kernelspecs;
    this.names = remoteNames(specs);
    this.shown.dispose();
    this.shown = new DisposableSet();
    if (offers === null) {
      return;
    }
    this.offers = offers;
    const listed = offers.filter(offer => offer.listed);
    if (launcher !== null && settings.now.launcherSection) {
      this.addCards(launcher, listed, specs);
    }
    if (palette !== null) {
      this.addEntries(palette, listed);
    }
  }

  private addCards(
    launcher: ILauncher,
    offers: readonly IOffer[],
    specs: KernelSpec.ISpecModels | null
  ): void {
    const item = { category: this.needs.trans.__('Remote'), categoryRank: CATEGORY_RANK };
    const form = { command: CommandIDs.create, args: { isLauncher: true }, rank: 1000 };
    this.shown.add(launcher.add({ ...item, ...form }));
    offers.forEach(({ kernelName, title, description }, rank) => {
      const icons = specs?.kernelspecs[kernelName]?.resources ?? {};
      const kernelIconUrl = icons['logo-svg'] || icons['logo-64x64'] || '';
      const args = { kernelName, title, description };
      const command = CommandIDs.createPreset;
      this.shown.add(launcher.add({ ...item, command, args, kernelIconUrl, rank }));
    });
  }

  private addEntries(palette: ICommandPalette, offers: readonly IOffer[]): void {
    const category = this.needs.trans.__('Remote Sessions');
    for (const { kernelName, title, description } of offers) {
      const args = { kernelName, title, description, isPalette: true };
      this.shown.add(palette.addItem({ command: CommandIDs.createPreset, category, args }));
    }
  }

  /** What can be started, as far as is known; null where there is nobody to start it. */
  private async find(): Promise<readonly IOffer[] | null> {
    try {
      return await this.needs.api.offers();
    } catch (error) {
      // What is wrong with the server is said elsewhere.
      return error instanceof Refusal && error.isMissing ? null : this.offers;
    }
  }

  private offers: readonly IOffer[] = [];
  private shown = new DisposableSet();
  private names = '';
  private turn = 0;
}

function remoteNames(specs: KernelSpec.ISpecModels | null): string {
  const all = Object.values(specs?.kernelspecs ?? {}).filter(spec => isRemote(spec));
  return JSON.stringify(all.map(spec => spec?.name).sort());
}
