/** The launcher's section of remote kernels. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
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

/** A card per preset and one for the form; as they come and go, and as the user wants them. */
export class Cards {
  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly api: Api,
    private readonly launcher: ILauncher,
    private readonly settings: Settings,
    private readonly trans: TranslationBundle
  ) {
    const { kernelspecs } = app.serviceManager;
    settings.changed.connect(() => void this.renew());
    kernelspecs.specsChanged.connect((_, specs) => {
      const names = remoteNames(specs);
      if (names !== this.names) {
        void this.renew();
      }
    });
    void Promise.all([app.started, settings.ready, kernelspecs.ready]).then(() => this.renew());
  }

  /** Look anew at what there is to start. */
  async renew(): Promise<void> {
    const turn = ++this.turn;
    const { specs } = this.app.serviceManager.kernelspecs;
    const shown = this.settings.now.launcherSection;
    const offers = shown ? await this.find() : null;
    if (turn !== this.turn) {
      return; // overtaken
    }
    this.names = remoteNames(specs);
    this.cards.dispose();
    this.cards = new DisposableSet();
    if (offers === null) {
      return;
    }
    this.offers = offers;
    const item = { category: this.trans.__('Remote'), categoryRank: CATEGORY_RANK };
    const form = { command: CommandIDs.create, args: { isLauncher: true }, rank: 1000 };
    this.cards.add(this.launcher.add({ ...item, ...form }));
    offers
      .filter(offer => offer.listed)
      .forEach(({ kernelName, title, description }, rank) => {
        const icons = specs?.kernelspecs[kernelName]?.resources ?? {};
        const kernelIconUrl = icons['logo-svg'] || icons['logo-64x64'] || '';
        const args = { kernelName, title, description };
        const command = CommandIDs.createPreset;
        this.cards.add(this.launcher.add({ ...item, command, args, kernelIconUrl, rank }));
      });
  }

  /** What can be started, as far as is known; null where there is nobody to start it. */
  private async find(): Promise<readonly IOffer[] | null> {
    try {
      return await this.api.offers();
    } catch (error) {
      // What is wrong with the server is said elsewhere.
      return error instanceof Refusal && error.isMissing ? null : this.offers;
    }
  }

  private offers: readonly IOffer[] = [];
  private cards = new DisposableSet();
  private names = '';
  private turn = 0;
}

function remoteNames(specs: KernelSpec.ISpecModels | null): string {
  const all = Object.values(specs?.kernelspecs ?? {}).filter(spec => isRemote(spec));
  return JSON.stringify(all.map(spec => spec?.name).sort());
}
