export const searchText = `\
akidb search <collection>; every option: akidb search --help

Vectors   --vector '[0.1,0.2]', a file, or - for stdin; --id a17 for what is like a record.
          --exact compares with every vector; --ef looks at more candidates. --mmr 0.3 with either:
          hits that differ.
Words     --text 'heat transfer' ranks by BM25 over the text columns; any word may be there.
            '"boundary layer" heat'      the phrase must be there, in one field, as it is written
            '"heat" transfer'            a word alone in quotes must be there
            'aero* wing'                 all words that begin so count as one
          The words stay in the shell's single quotes, so that quotes and * arrive. There is nothing
          to escape. Case does not count; accents and endings do.
Fields    --text-field title              only the title
          --text-field 'title^2' --text-field text    both, the title counting twice
          A collection made with --text-positions finds rare phrases without reading texts.
Both      --vector q.json --text 'heat transfer', fused by rank; or --fusion linear (stretched
          scores), dbsf (distance from the mean), with --vector-weight 0.7.
Filters   --filter '{"lang":"fi"}' with all of these: akidb help filters.
Groups    --text heat --group-by author --group-size 2: the best two of each of -k authors.
Like      --like a17 --like b4 --unlike c9: nearer to some records than to others.
Order     --order-by year --descending; --sample 20 --seed 7 for any, the same ones again.
Fewer     --score-threshold 0.5, --offset 10.
Past      --as-of friday, a version or a time: akidb help states.
Many      --queries queries.jsonl: one line of JSON for each.

Trees     --query '{…}' or @file: what prefetch finds is ranked again by query, to any depth.
            {"prefetch":[{"query":{"text":"heat"},"k":100},{"query":{"id":"a17"},"k":100}],
             "query":{"fusion":"rrf"},"k":10}
          A text may be an object there, as over HTTP. must and phrase decide what is found; all
          parts add to the score:
            {"query":{"text":{"query":"wing","must":["heat"],"phrase":["boundary layer"],
             "prefix":["aero"],"fields":["title^2","text"]}}}

--explain prints how it was found, --with-source which file and row each hit came from.
`
