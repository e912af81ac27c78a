BEGIN TRANSACTION;
CREATE TABLE device (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	used_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
INSERT INTO "device" VALUES(1,'33b9f63443ffdab1d7ddd757852adb76dabacdbdc6f594c3458dcdc9a1146d53','host','{"code":{"protocol":1},"hardware":{"isa":["avx2","fma"],"logical_cores":2,"model":"Sample CPU"},"kind":"null","notes":{},"runtime":{"name":"null","version":"1.0"},"settings":{"precision":"float32","threads":1}}','2026-11-29T16:02:30.996Z','2026-11-29T16:02:30.996Z');
CREATE TABLE document (
	device_id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (device_id, name), 
	FOREIGN KEY(device_id) REFERENCES device (id) ON DELETE CASCADE
);
INSERT INTO "document" VALUES(1,'fusion','{"rules":[{"ops":["conv2d","relu"]}]}');
CREATE TABLE lease (
	device_id INTEGER NOT NULL, 
	token VARCHAR(32) NOT NULL, 
	host TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	acquired_at VARCHAR(32) NOT NULL, 
	heartbeat_ms BIGINT NOT NULL, 
	PRIMARY KEY (device_id), 
	FOREIGN KEY(device_id) REFERENCES device (id) ON DELETE CASCADE
);
CREATE TABLE lutra_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT lutra_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "lutra_schema" VALUES('0004');
CREATE TABLE measurement (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	subject_id INTEGER NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	latency_ns FLOAT, 
	rel_halfwidth FLOAT, 
	p10_ns FLOAT, 
	median_ns FLOAT, 
	p90_ns FLOAT, 
	iqr_ns FLOAT, 
	sample_count INTEGER NOT NULL, 
	executions_per_sample BIGINT NOT NULL, 
	overhead_ns FLOAT NOT NULL, 
	reference_ratio FLOAT, 
	measured_at VARCHAR(32) NOT NULL, 
	flags TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	versions TEXT NOT NULL, 
	conditions TEXT NOT NULL, 
	label TEXT, 
	spec TEXT, 
	rounds BLOB NOT NULL, 
	samples BLOB NOT NULL, normalisation TEXT, compute_reference BLOB, memory_reference BLOB, checksum BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_measurement_device_subject UNIQUE (device_id, subject_id), 
	FOREIGN KEY(device_id) REFERENCES device (id) ON DELETE CASCADE, 
	FOREIGN KEY(subject_id) REFERENCES subject (id)
);
INSERT INTO "measurement" VALUES(1,1,1,'ok',251374.875,0.015,250512.375,252812.375,255112.375,2875.0,24,4,250.5,1.02,'2026-01-31T12:00:00.000Z','["load"]','','{"numpy":"2.0"}','{"governor":null,"load":[0.5,0.25]}',NULL,NULL,X'011800000000000000789C63600001260C72A8000004F80007',X'011800000000000000789C6BB8801DB4B06307720C830B00004EEE1474',NULL,NULL,NULL,2342522502);
INSERT INTO "measurement" VALUES(2,1,2,'noisy',251374.875,0.015,250512.375,252812.375,255112.375,2875.0,24,4,250.5,1.02,'2026-01-31T12:00:00.000Z','["steal","wide"]','','{"numpy":"2.0"}','{"governor":null,"load":[0.5,0.25]}',NULL,NULL,X'011800000000000000789C63600001260C72A8000004F80007',X'011800000000000000789C6BB8801DB4B06307720C830B00004EEE1474',NULL,NULL,NULL,191109869);
INSERT INTO "measurement" VALUES(3,1,3,'failed',NULL,NULL,NULL,NULL,NULL,NULL,0,1,0.0,NULL,'2026-11-29T16:02:31.013Z','[]','the runtime crashed','{}','{}',NULL,NULL,X'010000000000000000789C030000000001',X'010000000000000000789C030000000001',NULL,NULL,NULL,302063664);
INSERT INTO "measurement" VALUES(4,1,4,'ok',251374.875,0.015,250512.375,252812.375,255112.375,2875.0,24,4,250.5,1.02,'2026-01-31T12:00:00.000Z','["load"]','','{"numpy":"2.0"}','{"governor":null,"load":[0.5,0.25]}',NULL,NULL,X'011800000000000000789C63600001260C72A8000004F80007',X'011800000000000000789C6BB8801DB4B06307720C830B00004EEE1474',NULL,NULL,NULL,106754863);
INSERT INTO "measurement" VALUES(5,1,5,'ok',1.88563862114141724303e+05,0.015,1.87278407535289821688e+05,2.21353683315760368715e+05,2.56576528036271018216e+05,6.62721409015373501445e+04,24,4,250.5,1.02,'2026-01-31T12:00:00.000Z','["load"]','','{"numpy":"2.0"}','{"governor":null,"load":[0.5,0.25]}',NULL,NULL,X'011800000000000000789C63600001260C72A8000004F80007',X'011800000000000000789C6BB8801DB4B06307720C830B00004EEE1474','{"compute_elasticity":0.9,"memory_elasticity":0.05,"nominal_compute_ns":101000.5,"nominal_memory_ns":200000.0}',X'011800000000000000789C7368A8C70A792DB0036646EC8061800000669D10E5',X'011800000000000000789C6BB8701E2B9462C70ED81806170000F41313E7',3021974232);
CREATE TABLE meta (
	"key" VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('created_at','2026-11-29T16:02:30.988Z');
CREATE TABLE subject (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	"key" TEXT NOT NULL, 
	label TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	macs BIGINT, 
	bytes_moved BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_subject_kind_key UNIQUE (kind, "key")
);
INSERT INTO "subject" VALUES(1,'kernel','ok','Kernel ok','{"bytes_moved":2000,"macs":1000,"nodes":[{"op":"Conv"}]}',1000,2000);
INSERT INTO "subject" VALUES(2,'kernel','noisy','Kernel noisy','{"bytes_moved":2000,"macs":1000,"nodes":[{"op":"Conv"}]}',1000,2000);
INSERT INTO "subject" VALUES(3,'kernel','bad','bad','{}',NULL,NULL);
INSERT INTO "subject" VALUES(4,'network','net','Kernel net','{"predicted_ns":1500000.0}',NULL,NULL);
INSERT INTO "subject" VALUES(5,'kernel','normalised','Kernel normalised','{"bytes_moved":2000,"macs":1000,"nodes":[{"op":"Conv"}]}',1000,2000);
CREATE INDEX ix_device_name ON device (name);
CREATE INDEX ix_measurement_subject ON measurement (subject_id);
COMMIT;
