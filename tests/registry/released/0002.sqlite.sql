BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE aliases (
	model VARCHAR(64) NOT NULL, 
	alias VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT pk_aliases PRIMARY KEY (model, alias), 
	CONSTRAINT fk_aliases_model_number FOREIGN KEY(model, number) REFERENCES versions (model, number)
);
INSERT INTO "aliases" VALUES('fashion','champion',2);
INSERT INTO "aliases" VALUES('fashion','challenger',2);
INSERT INTO "aliases" VALUES('letters','staging.eu-1',1);
CREATE TABLE deletions (
	model VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	why TEXT NOT NULL, 
	who VARCHAR(128) NOT NULL, 
	deleted VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_deletions PRIMARY KEY (model, number), 
	CONSTRAINT fk_deletions_model_number FOREIGN KEY(model, number) REFERENCES versions (model, number)
);
INSERT INTO "deletions" VALUES('unused',2,'it''s not needed','ada','2026-04-02T10:01:00.001234Z');
CREATE TABLE feedback (
	receipt VARCHAR(32) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	predicted VARCHAR(256) NOT NULL, 
	confidence_bin VARCHAR(8) NOT NULL, 
	label VARCHAR(256) NOT NULL, 
	predicted_at VARCHAR(27) NOT NULL, 
	received VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_feedback PRIMARY KEY (receipt)
);
INSERT INTO "feedback" VALUES('00000000000000000000000000000000','fashion',2,'cat','0.9','cat','2026-03-01T15:09:00.001234Z','2026-03-01T15:44:00.001234Z');
INSERT INTO "feedback" VALUES('00000000000000000000000000000001','fashion',2,'cat','0.9','dog','2026-03-01T15:16:00.001234Z','2026-03-01T15:44:00.001234Z');
INSERT INTO "feedback" VALUES('00000000000000000000000000000002','fashion',2,'cat','0.9','dog','2026-03-01T15:23:00.001234Z','2026-03-01T15:44:00.001234Z');
INSERT INTO "feedback" VALUES('00000000000000000000000000000003','fashion',2,'cat','0.9','cat','2026-03-01T15:30:00.001234Z','2026-03-01T15:44:00.001234Z');
INSERT INTO "feedback" VALUES('00000000000000000000000000000004','fashion',2,'cat','0.9','dog','2026-03-01T15:37:00.001234Z','2026-03-01T15:44:00.001234Z');
CREATE TABLE holds (
	id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	held BOOLEAN NOT NULL, 
	why TEXT NOT NULL, 
	who VARCHAR(128) NOT NULL, 
	since VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_holds PRIMARY KEY (id), 
	CONSTRAINT fk_holds_model FOREIGN KEY(model) REFERENCES models (name)
);
INSERT INTO "holds" VALUES(1,'letters',1,'audit','Grace Höpper','2026-04-02T10:02:00.001234Z');
INSERT INTO "holds" VALUES(2,'letters',0,'done','ada','2026-04-02T10:03:00.001234Z');
CREATE TABLE models (
	name VARCHAR(64) NOT NULL, 
	last_number INTEGER NOT NULL, 
	created VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_models PRIMARY KEY (name)
);
INSERT INTO "models" VALUES('fashion',3,'2026-03-01T13:03:00.001234Z');
INSERT INTO "models" VALUES('letters',1,'2026-03-01T14:13:00.001234Z');
INSERT INTO "models" VALUES('unused',2,'2026-03-01T14:34:00.001234Z');
CREATE TABLE moves (
	id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	alias VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	from_number INTEGER, 
	to_number INTEGER NOT NULL, 
	verdict INTEGER NOT NULL, 
	forced BOOLEAN NOT NULL, 
	why TEXT NOT NULL, 
	who VARCHAR(128) NOT NULL, 
	moved VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_moves PRIMARY KEY (id), 
	CONSTRAINT fk_moves_verdict FOREIGN KEY(verdict) REFERENCES verdicts (id), 
	CONSTRAINT fk_moves_model_to_number FOREIGN KEY(model, to_number) REFERENCES versions (model, number)
);
INSERT INTO "moves" VALUES(1,'fashion','champion','promote',NULL,1,1,0,'the first one','ada','2026-03-01T13:10:00.001234Z');
INSERT INTO "moves" VALUES(2,'fashion','champion','promote',1,2,2,0,'it''s better; 100%','Grace Höpper','2026-03-01T13:31:00.001234Z');
INSERT INTO "moves" VALUES(3,'fashion','challenger','promote',NULL,2,3,0,'shadow it','ada','2026-03-01T13:38:00.001234Z');
INSERT INTO "moves" VALUES(4,'fashion','champion','promote',2,3,4,1,'I know: what I do
and why','ada','2026-03-01T13:52:00.001234Z');
INSERT INTO "moves" VALUES(5,'fashion','champion','promote',3,2,5,0,'back again','watch','2026-03-01T13:59:00.001234Z');
INSERT INTO "moves" VALUES(6,'letters','staging.eu-1','promote',NULL,1,6,0,'字','uid 1000','2026-03-01T14:20:00.001234Z');
CREATE TABLE outbox (
	id INTEGER NOT NULL, 
	move INTEGER NOT NULL, 
	url TEXT NOT NULL, 
	body TEXT NOT NULL, 
	created VARCHAR(27) NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt VARCHAR(27), 
	delivered VARCHAR(27), 
	problem TEXT, 
	CONSTRAINT pk_outbox PRIMARY KEY (id), 
	CONSTRAINT fk_outbox_move FOREIGN KEY(move) REFERENCES moves (id)
);
INSERT INTO "outbox" VALUES(1,6,'https://example.org/hook','{"event": "alias.moved", "move": {"id": 6}}','2026-04-02T10:05:00.001234Z',12,NULL,NULL,'given up after 12 attempts: it cannot be reached');
CREATE TABLE reports (
	sweep VARCHAR(96) NOT NULL, 
	trial INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	metrics JSON NOT NULL, 
	checkpoint VARCHAR(64), 
	reported VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_reports PRIMARY KEY (sweep, trial, epoch), 
	CONSTRAINT fk_reports_sweep_trial FOREIGN KEY(sweep, trial) REFERENCES trials (sweep, number)
);
INSERT INTO "reports" VALUES('fashion-1',1,1,'{"val_loss": 0.5, "val_accuracy": 0.1}','1111111111111111111111111111111111111111111111111111111111111111','2026-03-01T12:07:00.001234Z');
INSERT INTO "reports" VALUES('fashion-1',1,2,'{"val_loss": 0.3333333333333333, "val_accuracy": 0.2}',NULL,'2026-03-01T12:14:00.001234Z');
INSERT INTO "reports" VALUES('fashion-1',2,1,'{"val_loss": 0.3333333333333333, "val_accuracy": 0.1}',NULL,'2026-03-01T12:21:00.001234Z');
INSERT INTO "reports" VALUES('fashion-1',2,2,'{"val_loss": 0.25, "val_accuracy": 0.2}','2222222222222222222222222222222222222222222222222222222222222222','2026-03-01T12:28:00.001234Z');
INSERT INTO "reports" VALUES('fashion-1',3,1,'{"val_loss": 0.25, "val_accuracy": 0.1}',NULL,'2026-03-01T12:35:00.001234Z');
INSERT INTO "reports" VALUES('fashion-1',3,2,'{"val_loss": 0.2, "val_accuracy": 0.2}',NULL,'2026-03-01T12:42:00.001234Z');
INSERT INTO "reports" VALUES('fashion-1',3,3,'{"val_loss": NaN, "train_loss": Infinity, "lr": 5e-324}',NULL,'2026-03-01T12:49:00.001234Z');
INSERT INTO "reports" VALUES('letters-3',1,1,'{"val_loss": 0.5}','cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd','2026-03-01T15:02:00.001234Z');
CREATE TABLE sweeps (
	id VARCHAR(96) NOT NULL, 
	spec JSON NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	champion INTEGER, 
	registered INTEGER, 
	problem TEXT, 
	who VARCHAR(128) NOT NULL, 
	created VARCHAR(27) NOT NULL, 
	ended VARCHAR(27), 
	CONSTRAINT pk_sweeps PRIMARY KEY (id)
);
INSERT INTO "sweeps" VALUES('fashion-1','{"name": "fashion", "space": {"optimizer.lr": {"loguniform": [0.0001, 0.1]}}}','finished',NULL,1,NULL,'ada','2026-03-01T12:00:00.001234Z','2026-03-01T13:17:00.001234Z');
INSERT INTO "sweeps" VALUES('letters-2','{"name": "letters"}','failed',1,NULL,'no memory','uid 1000','2026-03-01T14:41:00.001234Z','2026-03-01T14:48:00.001234Z');
INSERT INTO "sweeps" VALUES('letters-3','{"name": "letters"}','running',1,NULL,NULL,'uid 1000','2026-03-01T14:55:00.001234Z',NULL);
CREATE TABLE tags (
	model VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_tags PRIMARY KEY (model, number, "key"), 
	CONSTRAINT fk_tags_model_number FOREIGN KEY(model, number) REFERENCES versions (model, number)
);
INSERT INTO "tags" VALUES('fashion',2,'camera','north; 100%');
CREATE TABLE trials (
	sweep VARCHAR(96) NOT NULL, 
	number INTEGER NOT NULL, 
	config JSON NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	problem TEXT, 
	CONSTRAINT pk_trials PRIMARY KEY (sweep, number), 
	CONSTRAINT fk_trials_sweep FOREIGN KEY(sweep) REFERENCES sweeps (id)
);
INSERT INTO "trials" VALUES('fashion-1',1,'{"lr": 0.1}','finished',NULL);
INSERT INTO "trials" VALUES('fashion-1',2,'{"lr": 0.01}','stopped',NULL);
INSERT INTO "trials" VALUES('fashion-1',3,'{"lr": 0.30000000000000004}','failed','the loss is not a number;
''nan'' "quoted"');
INSERT INTO "trials" VALUES('fashion-1',4,'{"lr": 1}','pending',NULL);
INSERT INTO "trials" VALUES('letters-2',1,'{}','interrupted',NULL);
INSERT INTO "trials" VALUES('letters-3',1,'{}','running',NULL);
INSERT INTO "trials" VALUES('letters-3',2,'{}','pending',NULL);
CREATE TABLE verdicts (
	id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	alias VARCHAR(64) NOT NULL, 
	holder INTEGER, 
	passed BOOLEAN NOT NULL, 
	split VARCHAR(64), 
	policy JSON NOT NULL, 
	gates JSON NOT NULL, 
	who VARCHAR(128) NOT NULL, 
	judged VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_verdicts PRIMARY KEY (id), 
	CONSTRAINT fk_verdicts_model_number FOREIGN KEY(model, number) REFERENCES versions (model, number)
);
INSERT INTO "verdicts" VALUES(1,'fashion',1,'champion',NULL,1,NULL,'{}','[]','ada','2026-03-01T13:10:00.001234Z');
INSERT INTO "verdicts" VALUES(2,'fashion',2,'champion',1,1,NULL,'{}','[]','Grace Höpper','2026-03-01T13:31:00.001234Z');
INSERT INTO "verdicts" VALUES(3,'fashion',2,'challenger',NULL,1,NULL,'{}','[]','ada','2026-03-01T13:38:00.001234Z');
INSERT INTO "verdicts" VALUES(4,'fashion',3,'champion',2,0,NULL,'{}','[{"name": "unnamed", "passed": false, "message": "the export agrees with torch on 50.000% of labels, at least 99.9% needed", "measured": {}, "allowed": {}}, {"name": "unnamed", "passed": false, "message": "held-out accuracy 20.00% is 40.00 points under the champion''s 60.00%", "measured": {}, "allowed": {}}]','ada','2026-03-01T13:52:00.001234Z');
INSERT INTO "verdicts" VALUES(5,'fashion',2,'champion',3,1,NULL,'{}','[]','watch','2026-03-01T13:59:00.001234Z');
INSERT INTO "verdicts" VALUES(6,'letters',1,'staging.eu-1',NULL,1,NULL,'{}','[]','uid 1000','2026-03-01T14:20:00.001234Z');
INSERT INTO "verdicts" VALUES(7,'fashion',1,'champion',2,0,'abababababababababababababababababababababababababababababababab','{"parity": {"agreement": 0.999}}','[{"name": "champion", "passed": false, "message": "it is worse", "measured": {"judged_before": 1}, "allowed": {}}]','ada','2026-04-02T10:04:00.001234Z');
CREATE TABLE versions (
	model VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	manifest VARCHAR(64) NOT NULL, 
	evidence JSON NOT NULL, 
	lineage JSON NOT NULL, 
	who VARCHAR(128) NOT NULL, 
	created VARCHAR(27) NOT NULL, signature VARCHAR(88), 
	CONSTRAINT pk_versions PRIMARY KEY (model, number), 
	CONSTRAINT fk_versions_model FOREIGN KEY(model) REFERENCES models (name)
);
INSERT INTO "versions" VALUES('fashion',1,'e6ab4411f281d2761be614db8a0520648b46471f4a6d38c0ca7f45c016a6c391','{"accuracy": 0.5, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}','{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}','ada','2026-03-01T12:56:00.001234Z',NULL);
INSERT INTO "versions" VALUES('fashion',2,'cd65638b1b88f542a879ee065de9d510ed665cdc03bbcce7a9cb90fc4d307a7d','{"accuracy": 0.6, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}','{"sweep": "fashion-1", "trial": 1, "epoch": 2, "data": {"name": "fashion_mnist", "sha256": "abababababababababababababababababababababababababababababababab"}, "champion": 1}','ada','2026-03-01T13:24:00.001234Z',NULL);
INSERT INTO "versions" VALUES('fashion',3,'5b595e2fe00faa6de2e4f12603fd63c69d530737a8b020c74ee0f5309505b159','{"accuracy": 0.2, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 0.5, "max_difference": 0.25, "samples": 100}}','{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}','ada','2026-03-01T13:45:00.001234Z',NULL);
INSERT INTO "versions" VALUES('letters',1,'6c6f18e1787448d7abb9361f18c28dc954379d739eea4dc64f97541945f89405','{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}','{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}','uid 1000','2026-03-01T14:06:00.001234Z',NULL);
INSERT INTO "versions" VALUES('unused',1,'674ca278530fd6a9a418f3de02da8b219103d2ce827959aff87649c914bdfe11','{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}','{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}','ada','2026-03-01T14:27:00.001234Z',NULL);
INSERT INTO "versions" VALUES('unused',2,'674ca278530fd6a9a418f3de02da8b219103d2ce827959aff87649c914bdfe11','{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}','{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}','ada','2026-04-02T10:00:00.001234Z','AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==');
CREATE INDEX ix_sweeps_created ON sweeps (created);
CREATE INDEX ix_feedback_model_version_received ON feedback (model, version, received);
CREATE INDEX ix_versions_created_model_number ON versions (created, model, number);
CREATE INDEX ix_verdicts_model_number ON verdicts (model, number);
CREATE INDEX ix_verdicts_split ON verdicts (split);
CREATE INDEX ix_moves_model_id ON moves (model, id);
CREATE INDEX ix_holds_model_id ON holds (model, id);
CREATE INDEX ix_outbox_next_attempt ON outbox (next_attempt);
CREATE TRIGGER keep_versions_update BEFORE update ON versions BEGIN SELECT RAISE(ABORT, 'rows of versions are only added'); END;
CREATE TRIGGER keep_versions_delete BEFORE delete ON versions BEGIN SELECT RAISE(ABORT, 'rows of versions are only added'); END;
CREATE TRIGGER keep_deletions_update BEFORE update ON deletions BEGIN SELECT RAISE(ABORT, 'rows of deletions are only added'); END;
CREATE TRIGGER keep_deletions_delete BEFORE delete ON deletions BEGIN SELECT RAISE(ABORT, 'rows of deletions are only added'); END;
CREATE TRIGGER keep_verdicts_update BEFORE update ON verdicts BEGIN SELECT RAISE(ABORT, 'rows of verdicts are only added'); END;
CREATE TRIGGER keep_verdicts_delete BEFORE delete ON verdicts BEGIN SELECT RAISE(ABORT, 'rows of verdicts are only added'); END;
CREATE TRIGGER keep_moves_update BEFORE update ON moves BEGIN SELECT RAISE(ABORT, 'rows of moves are only added'); END;
CREATE TRIGGER keep_moves_delete BEFORE delete ON moves BEGIN SELECT RAISE(ABORT, 'rows of moves are only added'); END;
CREATE TRIGGER keep_holds_update BEFORE update ON holds BEGIN SELECT RAISE(ABORT, 'rows of holds are only added'); END;
CREATE TRIGGER keep_holds_delete BEFORE delete ON holds BEGIN SELECT RAISE(ABORT, 'rows of holds are only added'); END;
COMMIT;
