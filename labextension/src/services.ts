/** Opens a session's services: as a tab of JupyterLab, or of the browser. */

import type { ILayoutRestorer } from '@jupyterlab/application';
import {
  IFrame,
  InputDialog,
  MainAreaWidget,
  ToolbarButton,
  WidgetTracker
} from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { launchIcon, refreshIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { Widget } from '@lumino/widgets';

import { candidates, chosen } from './actions/choosing';
import { IContext, tell } from './actions/context';
import { CommandIDs } from './commands';
import type { IAboutSession } from './front';
import { sessionIcon } from './icons';
import { hasPages, isPage } from './states';
import type { IService, ISession } from './tokens';

/**
 * What a service's page may do in a frame: all but lead JupyterLab's own tab away. Windows that it
 * opens escape these limits; browsers would show nothing there otherwise, since service pages ask
 * for no opener (`Cross-Origin-Opener-Policy`), which a window with limits cannot give.
 */
const ALLOWED = [
  'allow-downloads',
  'allow-forms',
  'allow-modals',
  'allow-popups',
  'allow-popups-to-escape-sandbox',
  'allow-same-origin',
  'allow-scripts'
];

/** A tab that shows one service of one session. */
class ServiceTab extends MainAreaWidget<IFrame> implements IAboutSession {
  constructor(
    readonly sessionId: string,
    readonly service: IService,
    url: string,
    trans: TranslationBundle
  ) {
    super({ content: new IFrame() });
    const frame = this.content.node.querySelector('iframe');
    if (frame !== null) {
      // Set here, since the widget's own list of names lacks one that is needed.
      frame.sandbox.add(...ALLOWED);
      frame.title = service.name;
    }
    this.content.url = url;
    const buttons = {
      reload: { icon: refreshIcon, tooltip: trans.__('Load the page again'), work: () => this.load(url) },
      tab: {
        icon: launchIcon,
        tooltip: trans.__('Open in a tab of the browser'),
        work: () => void window.open(url, '_blank', 'noopener')
      }
    };
    for (const [name, { icon, tooltip, work }] of Object.entries(buttons)) {
      this.toolbar.addItem(name, new ToolbarButton({ icon, tooltip, onClick: work }));
    }
    this.toolbar.addItem('isolation', isolationNote(service, trans));
  }

  private load(url: string): void {
    this.content.url = url;
  }
}

/** How far its pages are kept from Jupyter's, in a few words; the whole sentence on pointing. */
function isolationNote(service: IService, trans: TranslationBundle): Widget {
  const words: Record<string, string> = {
    subdomain: trans.__('On a host of its own'),
    sandbox: trans.__('In a sandbox: no cookies, no storage'),
    'same-origin': trans.__('Trusted: can do in Jupyter what you can')
  };
  const note = new Widget({ node: document.createElement('span') });
  note.addClass('jp-sessmgr-isolation');
  note.node.textContent = words[service.isolation] ?? '';
  note.node.title = service.isolationInfo;
  return note;
}

/** Add the command that opens services, and bring their tabs back after a reload. */
export function addServices(context: IContext, restorer: ILayoutRestorer | null): void {
  const { app, trans, palette } = context;
  const tracker = new WidgetTracker<ServiceTab>({ namespace: 'jupyter-sessmgr-service' });
  const name = (args: ReadonlyPartialJSONObject) => String(args['name'] ?? '');
  app.commands.addCommand(CommandIDs.openService, {
    label: args => {
      const what = name(args);
      if (what === '') {
        return args['browser']
          ? trans.__('Open Service of Session in a New Browser Tab…')
          : trans.__('Open Service of Session…');
      }
      return args['browser'] ? trans.__('%1 in a New Browser Tab', what) : what;
    },
    isEnabled: args => candidates(context, args, hasPages).length > 0,
    execute: async args => {
      try {
        return await open(context, args, tracker);
      } catch (error) {
        tell(error, context);
        return undefined;
      }
    }
  });
  for (const args of context.hasTabs ? [{}, { browser: true }] : [{}]) {
    const category = trans.__('Remote Sessions');
    palette?.addItem({ command: CommandIDs.openService, category, args });
  }
  void restorer?.restore(tracker, {
    command: CommandIDs.openService,
    args: tab => ({ id: tab.sessionId, name: tab.service.name, restores: true }),
    name: tab => tab.id
  });
}

async function open(
  context: IContext,
  args: ReadonlyPartialJSONObject,
  tracker: WidgetTracker<ServiceTab>
): Promise<ServiceTab | undefined> {
  const { app, api, hasTabs, trans } = context;
  const session = await sessionOf(context, args);
  if (session === null) {
    return undefined;
  }
  const service = await serviceOf(context, session, String(args['name'] ?? ''));
  if (service === null) {
    return undefined;
  }
  const url = api.url(service.url);
  if (args['browser'] || !hasTabs) {
    window.open(url, '_blank', 'noopener');
    return undefined;
  }
  const id = `jupyter-sessmgr-service-${session.id}-${service.name}`;
  const known = tracker.find(one => one.id === id);
  if (known !== undefined) {
    app.shell.activateById(id);
    return known;
  }
  const tab = new ServiceTab(session.id, service, url, trans);
  tab.id = id;
  tab.title.label = `${service.name} · ${session.name}`;
  tab.title.icon = sessionIcon;
  tab.title.closable = true;
  app.shell.add(tab, 'main');
  await tracker.add(tab);
  return tab;
}

/** The session that is meant; of a tab that comes back, the one that it was about or none. */
async function sessionOf(
  context: IContext,
  args: ReadonlyPartialJSONObject
): Promise<ISession | null> {
  if (args['restores']) {
    const session = await context.api.session(String(args['id'])).catch(() => null);
    return session !== null && hasPages(session) ? session : null;
  }
  const title = context.trans.__('Open a service');
  return chosen(context, args, hasPages, title);
}

/** The service of this name as it is now; asks which when none is named. Null: given up. */
async function serviceOf(
  { api, trans }: IContext,
  session: ISession,
  name: string
): Promise<IService | null> {
  const services = (await api.services(session.id)).filter(isPage);
  let wanted = name;
  if (wanted === '') {
    const answer = await InputDialog.getItem({
      title: trans.__('Open a service of %1', session.name),
      items: services.map(one => one.name)
    });
    if (!answer.button.accept) {
      return null;
    }
    wanted = answer.value ?? '';
  }
  const service = services.find(one => one.name === wanted);
  if (service === undefined) {
    throw new Error(trans.__('%1 has no service %2 that can be shown.', session.name, wanted));
  }
  if (service.isolation === 'refused') {
    throw new Error(service.isolationInfo);
  }
  return service;
}
