//! Vectors, queries and what is nearest to each: from files, or made from a seed.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use half::f16;
use npyz::NpyFile;
use sutra_layout::space::{GraphSettings, Quantization};
use sutra_vectors::{inverse_norm_of, kernel};

use crate::workload::Random;

/// Neighbours that a search is asked for, and whose share it finds is its recall.
pub const K: usize = 10;
/// Queries of made data.
const QUERIES: usize = 500;
/// Vectors of made data around one centre, on average.
const CLUSTER_SIZE: usize = 50;

/// Which vectors are searched.
#[derive(Args, Clone, Debug)]
pub struct DataArgs {
    /// A folder with vectors.f16.npy or vectors.f32.npy, queries.f32.npy and ground_truth.i32.npy
    /// [default: vectors made from the seed]
    #[arg(long, visible_alias = "wordnet", global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Vectors to make, where there is no --data
    #[arg(long, global = true, value_name = "N", default_value_t = 100_000)]
    pub vectors: usize,

    /// Elements of each
    #[arg(long, global = true, value_name = "N", default_value_t = 384)]
    pub dimension: usize,

    /// What benches/peers/vectors.py found on the same vectors
    #[arg(long, global = true, value_name = "FILE")]
    pub peers: Option<PathBuf>,

    /// A Python that has hnswlib, usearch and faiss-cpu: runs that script first, on --data
    #[arg(long, global = true, value_name = "PYTHON", requires = "data", conflicts_with = "peers")]
    pub python: Option<PathBuf>,

    /// A store of these vectors that is left there: made unless it is there, else searched as it is
    #[arg(long, global = true, value_name = "DIR")]
    pub vectors_store: Option<PathBuf>,

    /// What to measure of them [default: both]
    #[arg(long, global = true)]
    pub part: Option<Part>,

    /// Links of a vector; twice as many on the lowest level
    #[arg(long, global = true, value_name = "N", default_value_t = 16)]
    pub m: u16,

    /// Candidates of an insertion
    #[arg(long, global = true, value_name = "N", default_value_t = 200)]
    pub ef_construction: u16,

    /// Walk over the vectors themselves instead of codes
    #[arg(long, global = true)]
    pub not_quantized: bool,

    /// Also write the vectors there, for the peers
    #[arg(long, global = true, value_name = "DIR")]
    pub write_data: Option<PathBuf>,

    /// Also draw the curves there, as SVG
    #[arg(long, global = true, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// What is measured of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Loading and linking them, and searches beside that
    Build,
    /// Searches where nobody writes
    Search,
}

impl DataArgs {
    /// Whether a part is to be measured.
    pub fn wants(&self, part: Part) -> bool {
        self.part.is_none_or(|wanted| wanted == part)
    }

    /// How the graph is built.
    pub fn graph(&self) -> GraphSettings {
        let quantization = if self.not_quantized { Quantization::None } else { Quantization::Int8 };
        let (m, ef_construction) = (self.m, self.ef_construction);
        GraphSettings { m, ef_construction, quantization, ..GraphSettings::default() }
    }

    /// The same as arguments of a command line.
    pub fn graph_arguments(&self) -> Vec<String> {
        let (m, ef_construction) = (self.m.to_string(), self.ef_construction.to_string());
        let mut all = vec!["--m".to_owned(), m, "--ef-construction".to_owned(), ef_construction];
        all.extend(self.not_quantized.then(|| "--not-quantized".to_owned()));
        all
    }
}

/// The vectors, one after the other, all of unit length.
#[derive(Debug)]
pub struct NearestData {
    pub dimension: usize,
    pub vectors: Vec<f32>,
    pub queries: Vec<f32>,
    /// For each query the [`K`] rows that are nearest.
    pub truth: Vec<u32>,
}

impl NearestData {
    /// The vectors that are asked for.
    pub fn new(args: &DataArgs, seed: u64) -> anyhow::Result<NearestData> {
        let data = match &args.data {
            Some(folder) => NearestData::load(folder)?,
            None => NearestData::made(args.vectors, args.dimension, seed),
        };
        if let Some(folder) = &args.write_data {
            data.save(folder)?;
        }
        Ok(data)
    }

    fn load(folder: &Path) -> anyhow::Result<NearestData> {
        let (halves, floats) = (folder.join("vectors.f16.npy"), folder.join("vectors.f32.npy"));
        let (dimension, mut vectors) = if halves.exists() {
            let (dimension, halves) = read::<f16>(&halves)?;
            (dimension, halves.into_iter().map(f16::to_f32).collect())
        } else {
            read::<f32>(&floats)?
        };
        let (of_queries, mut queries) = read::<f32>(&folder.join("queries.f32.npy"))?;
        let (listed, truth) = read::<i32>(&folder.join("ground_truth.i32.npy"))?;
        if of_queries != dimension || listed < K {
            bail!("the files in {} do not belong together", folder.display());
        }
        normalize(&mut vectors, dimension);
        normalize(&mut queries, dimension);
        let nearest = truth.chunks_exact(listed).flat_map(|rows| &rows[..K]);
        let truth = nearest.map(|row| *row as u32).collect();
        Ok(NearestData { dimension, vectors, queries, truth })
    }

    /// Clustered vectors: each is near one of many centres, at a distance of the cluster's own.
    fn made(count: usize, dimension: usize, seed: u64) -> NearestData {
        let mut random = Random::new(seed);
        // The sum of a few even numbers is nearly a normal one.
        let mut number = move || (0..4).map(|_| random.unit() as f32 - 0.5).sum::<f32>();
        let centres_count = count.div_ceil(CLUSTER_SIZE);
        let centres: Vec<f32> = (0..centres_count * dimension).map(|_| number()).collect();
        let mut random = Random::new(seed ^ 1);
        let mut near_a_centre = |count: usize, rows: &mut Vec<f32>| {
            for _ in 0..count {
                let centre = random.below(centres_count as u64) as usize;
                let width = 0.4 + 0.8 * (centre % 7) as f32 / 7.0;
                let centre = &centres[centre * dimension..][..dimension];
                rows.extend(centre.iter().map(|x| x + width * number()));
            }
        };
        let (mut vectors, mut queries) = (Vec::new(), Vec::new());
        near_a_centre(count, &mut vectors);
        near_a_centre(QUERIES, &mut queries);
        normalize(&mut vectors, dimension);
        normalize(&mut queries, dimension);
        let truth = queries
            .chunks_exact(dimension)
            .flat_map(|query| {
                let mut scores = vec![0.0; count];
                kernel::dot_products(query, &vectors, dimension, &mut scores);
                let mut rows: Vec<u32> = (0..count as u32).collect();
                let order = |a: &u32, b: &u32| {
                    scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b))
                };
                rows.select_nth_unstable_by(K, order);
                rows.truncate(K);
                rows
            })
            .collect();
        NearestData { dimension, vectors, queries, truth }
    }

    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let write = |name: &str, columns: usize, description: &str, bytes: Vec<u8>| {
            let rows = bytes.len() / 4 / columns;
            let mut header = format!(
                "{{'descr': '{description}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
            );
            let padding = (128 - (10 + header.len() + 1) % 128) % 128;
            header.extend(std::iter::repeat_n(' ', padding));
            header.push('\n');
            let mut file = b"\x93NUMPY\x01\x00".to_vec();
            file.extend_from_slice(&(header.len() as u16).to_le_bytes());
            file.extend_from_slice(header.as_bytes());
            file.extend_from_slice(&bytes);
            std::fs::write(folder.join(name), file)
        };
        let floats = |floats: &[f32]| floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        write("vectors.f32.npy", self.dimension, "<f4", floats(&self.vectors))?;
        write("queries.f32.npy", self.dimension, "<f4", floats(&self.queries))?;
        let truth = self.truth.iter().flat_map(|row| row.to_le_bytes()).collect();
        write("ground_truth.i32.npy", K, "<i4", truth)?;
        Ok(())
    }

    /// How many vectors.
    pub fn count(&self) -> usize {
        self.vectors.len() / self.dimension
    }

    /// One of them.
    pub fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.dimension..][..self.dimension]
    }
}

fn read<T: npyz::Deserialize>(path: &Path) -> anyhow::Result<(usize, Vec<T>)> {
    let file = File::open(path).with_context(|| format!("{} is not there", path.display()))?;
    let npy = NpyFile::new(BufReader::new(file))?;
    let [_, columns] = *npy.shape() else { bail!("{} holds no rows", path.display()) };
    Ok((columns as usize, npy.into_vec()?))
}

fn normalize(rows: &mut [f32], dimension: usize) {
    for row in rows.chunks_exact_mut(dimension) {
        let factor = inverse_norm_of(row);
        row.iter_mut().for_each(|x| *x *= factor);
    }
}
