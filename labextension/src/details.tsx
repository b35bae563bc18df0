/** A tab about one session: what it wrote, live and searchable, and what happened to it. */

import { MainAreaWidget, ReactWidget, UseSignal } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';
import React, { useState } from 'react';

import type { Api } from './api';
import type { Sessions } from './sessions';
import { FINAL, IHistoryNote, ISession } from './tokens';
import { statusWord } from './words';

/** Milliseconds between two looks at what a live session writes. */
const LOOK = 2000;

/** What the server last said of one session and its log. */
class Details {
  constructor(
    readonly id: string,
    private readonly api: Api,
    sessions: Sessions
  ) {
    this.session = sessions.find(id) ?? null;
    this.poll = new Poll({
      factory: () => this.load(),
      frequency: { interval: LOOK, backoff: true, max: 60_000 },
      name: `jupyter-sessmgr:details-${id}`,
      standby: 'when-hidden'
    });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  session: ISession | null;
  log = '';
  trouble = '';

  dispose(): void {
    this.poll.dispose();
    Signal.clearData(this);
  }

  private async load(): Promise<void> {
    try {
      [this.session, this.log] = await Promise.all([this.api.session(this.id), this.api.log(this.id)]);
      this.trouble = '';
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
    }
    this._changed.emit();
    if (this.session !== null && FINAL.has(this.session.status)) {
      void this.poll.stop(); // nothing more will come
    }
  }

  private readonly poll: Poll;
  private readonly _changed = new Signal<this, void>(this);
}

/** Make the tab. */
export function detailsTab(
  id: string,
  api: Api,
  sessions: Sessions,
  trans: TranslationBundle
): MainAreaWidget {
  const details = new Details(id, api, sessions);
  const content = ReactWidget.create(
    <UseSignal signal={details.changed}>{() => <Page details={details} trans={trans} />}</UseSignal>
  );
  content.addClass('jp-sessmgr-details');
  content.disposed.connect(() => details.dispose());
  const tab = new MainAreaWidget({ content });
  tab.id = `jupyter-sessmgr-details-${id}`;
  tab.title.label = sessions.find(id)?.name ?? trans.__('Session');
  tab.title.closable = true;
  return tab;
}

function Page(props: { details: Details; trans: TranslationBundle }): JSX.Element {
  const { details, trans } = props;
  const { session, log, trouble } = details;
  return (
    <div className="jp-sessmgr-page">
      {trouble !== '' && (
        <p className="jp-sessmgr-trouble" role="alert">
          {trouble}
        </p>
      )}
      {session !== null && <About session={session} trans={trans} />}
      <Log name={session?.name ?? details.id} log={log} trans={trans} />
    </div>
  );
}

function About(props: { session: ISession; trans: TranslationBundle }): JSX.Element {
  const { session, trans } = props;
  const word = statusWord(session, trans);
  return (
    <section>
      <h2>{session.name}</h2>
      <p>{session.info === '' ? word : `${word}: ${session.info}`}</p>
      <table className="jp-sessmgr-history">
        <caption>{trans.__('What happened')}</caption>
        <tbody>
          {session.history.map((note, index) => (
            <tr key={index}>
              <td>{time(note)}</td>
              <td>{statusWord({ ...session, status: note.status }, trans)}</td>
              <td>{note.info}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function time(note: IHistoryNote): string {
  const at = new Date(note.at);
  return Number.isNaN(at.getTime()) ? '' : at.toLocaleString();
}

function Log(props: { name: string; log: string; trans: TranslationBundle }): JSX.Element {
  const { name, log, trans } = props;
  const [filter, setFilter] = useState('');
  const wanted = filter.toLowerCase();
  const lines = log.split('\n').filter(line => line.toLowerCase().includes(wanted));
  return (
    <section>
      <div className="jp-sessmgr-bar">
        <h3>{trans.__('What it wrote')}</h3>
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Search')}
          aria-label={trans.__('Search in what the session wrote')}
          value={filter}
          onChange={event => setFilter(event.target.value)}
        />
        <button className="jp-mod-styled" onClick={() => download(`${name}.log`, log)}>
          {trans.__('Download')}
        </button>
      </div>
      <pre className="jp-sessmgr-log" tabIndex={0} aria-label={trans.__('What the session wrote')}>
        {lines.join('\n')}
      </pre>
    </section>
  );
}

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
